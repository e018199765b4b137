"""OPT alone."""

from typing import Any

import lmmdsl
from goldens_adapters import llama
from goldens_adapters.case import Case
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, demand, pick

NAME = "opt"


def accepts(case: Case) -> bool:
    """Whether a case is about this LLM."""
    return case.part == "llm" and case.config("llm").get("kind") == "opt"


def opt_settings(llm: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Opt` for an `llm` section."""
    demand(
        llm,
        norm="layernorm",
        norm_position="pre",
        final_norm=True,
        position="learned",
        activation="relu",
        biases=True,
        q_bias=True,
        k_bias=True,
        v_bias=True,
        o_bias=True,
        mlp_bias=True,
        lm_head_bias=False,
        causal=True,
        kv_heads=llm["heads"],
        head_dim=llm["width"] // llm["heads"],
    )
    sizes = pick(llm, "width", "depth", "heads", "mlp_width", "vocab", "context", "norm_eps")
    tied = bool(llm.get("lm_head_tied", True))
    return sizes | {"offset": llm.get("position_offset", 2), "tied": tied}


def build(case: Case) -> lmmdsl.Spec:
    """A model that is the LLM."""
    text = f"""from std.llm.opt import Opt

model Golden {{
  llm llm: Opt({arguments(opt_settings(case.config("llm")))})

  weights hf "golden/case" {{ llm = "" }}
}}
"""
    return compile_text(text, {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    return llama.run(case, runner)
