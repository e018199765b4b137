"""MiniGPT-4, whole, with and without its Q-Former, and MiniGPT-v2: the specs of this repository at a case's sizes."""

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Case
from goldens_adapters.eva import tower_settings
from goldens_adapters.lora import with_adapters
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.qformer import qformer_settings
from goldens_adapters.words import demand, llama_settings

NAME = "minigpt4"
RESULTS = {
    "vision_features": "norm(vision(image))",
    "query_output": "image |> vision |> norm |> qformer",
}


def accepts(case: Case) -> bool:
    """Whether a case is about a whole MiniGPT-4 or MiniGPT-v2."""
    return case.system in ("minigpt4", "minigpt_v2") and case.part == "whole"


def build(case: Case) -> lmmdsl.Spec:
    """The spec with the sizes of the case, and a flow that shows what the encoder gives."""
    connector = case.config("connector")
    demand(connector, projection="linear", projection_bias=True)
    settings = whole.settings_of(
        vision=tower_settings(case),
        norm=whole.norm_settings(connector),
        llm=llama_settings(case.config("llm")),
    )
    settings |= whole.token_settings(case.config("layout"))
    if connector["kind"] == "qformer":
        settings |= whole.settings_of(qformer=qformer_settings(connector))
        return compile_text(whole.read_spec("minigpt_v1.lmm", RESULTS, case), settings)
    demand(connector, kind="token_merge_linear", drop_class_token=True)
    settings["merged"] = connector["merge"]
    if case.system == "minigpt4":
        text = whole.read_spec("minigpt_v1_llama2.lmm", RESULTS, case)
        return compile_text(text, settings)
    text = whole.read_spec("minigpt_v2.lmm", RESULTS, case)
    text, adapters = with_adapters(text, case.config("llm"))
    return compile_text(text, settings | adapters)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case. Where a row is padded on the left, the reference embeds zeros."""
    outputs = whole.run(case, runner, RESULTS)
    ids = case.inputs["input_ids"]
    mask = case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)
    begun = np.maximum.accumulate(mask, axis=1)
    return outputs | {"inputs_embeds": np.where(begun[..., None], outputs["inputs_embeds"], 0)}
