"""BLIP-2 with OPT, whole: the spec of this repository at the sizes of the case."""

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Case
from goldens_adapters.eva import tower_settings
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.opt import opt_settings
from goldens_adapters.qformer import qformer_settings
from goldens_adapters.words import demand

NAME = "blip2"
RESULTS = {
    "vision_features": "norm(vision(image))",
    "query_output": "image |> vision |> norm |> qformer",
}


def accepts(case: Case) -> bool:
    """Whether a case is about a whole BLIP-2 with OPT."""
    return case.system == "blip2" and case.part == "whole" and case.config("llm")["kind"] == "opt"


def build(case: Case) -> lmmdsl.Spec:
    """The spec with the sizes of the case, and a flow that shows what stands before the projection."""
    connector = case.config("connector")
    demand(connector, projection="linear", projection_bias=True)
    settings = whole.settings_of(
        vision=tower_settings(case),
        norm=whole.norm_settings(connector),
        qformer=qformer_settings(connector),
        llm=opt_settings(case.config("llm")),
    )
    settings |= whole.token_settings(case.config("layout"))
    return compile_text(whole.read_spec("blip2.lmm", RESULTS, case), settings)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    return whole.run(case, runner, RESULTS)
