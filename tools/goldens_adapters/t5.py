"""FlanT5 alone, and BLIP-2 with it.

Axes: B batch, N tokens of the prompt, T tokens of the answer.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import blip2, whole
from goldens_adapters.case import BadCase, Case
from goldens_adapters.eva import tower_settings
from goldens_adapters.flows import add_flow, mask_of
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.qformer import qformer_settings
from goldens_adapters.words import arguments, demand, pick

NAME = "t5"
ACTS = {"gelu_erf_gated": "gelu", "gelu_tanh_gated": "gelu_tanh", "gelu_new_gated": "gelu_tanh"}
ACT_IMPORT = "from std.mlp import gelu_tanh\n"  # not every case has it, but each may name it
BIASES = {"relative_bias_encoder": "near_prompt", "relative_bias_decoder": "near_answer"}


def accepts(case: Case) -> bool:
    """Whether a case is about this LLM, alone or in BLIP-2."""
    return case.part in ("llm", "whole") and case.config("llm").get("kind") == "t5"


def t5_settings(llm: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `T5` for an `llm` section."""
    demand(
        llm,
        norm="rmsnorm",
        norm_position="pre",
        final_norm=True,
        position="relative_bias",
        q_scale=1.0,
        biases=False,
        kv_heads=llm["heads"],
    )
    sizes = pick(
        llm,
        "width",
        "depth",
        "decoder_depth",
        "heads",
        "head_dim",
        "mlp_width",
        "vocab",
        "norm_eps",
    )
    near = {"buckets": llm["relative_buckets"], "max_distance": llm["relative_max_distance"]}
    if llm["activation"] not in ACTS:
        raise BadCase(f"this adapter takes activation in {list(ACTS)}, not {llm['activation']!r}")
    head = {"tied": bool(llm.get("lm_head_tied")), "head_scale": llm.get("lm_head_scale", 1.0)}
    act = {"act": ACTS[llm["activation"]]}
    return sizes | near | act | head | {"context": llm.get("context", 512)}


def build(case: Case) -> lmmdsl.Spec:
    """The LLM as a model, or the spec with the sizes of the case."""
    llm = case.config("llm")
    if case.part == "whole":
        return _whole(case)
    text = f"""{ACT_IMPORT}from std.llm.t5 import T5

model Golden {{
  llm llm: T5({arguments(t5_settings(llm))})

  vocab {{ <pad> = {llm["pad_id"]}, <start> = {llm["decoder_start_id"]}, <eos> = {llm["eos_id"]} }}

  weights hf "golden/case" {{ llm = "" }}
}}
"""
    for part, name in (("encoder", "near_prompt"), ("decoder", "near_answer")):
        heads = llm["heads"]
        text = add_flow(text, f"""
  flow {name}(tokens: int[N]) -> (bias: [1, {heads}, N, N]) {{
    return llm.{part}.near(tokens, tokens)
  }}
""")  # fmt: skip
    return compile_text(text, {})


def _whole(case: Case) -> lmmdsl.Spec:
    connector, llm = case.config("connector"), case.config("llm")
    demand(connector, projection="linear", projection_bias=True)
    settings = whole.settings_of(
        vision=tower_settings(case),
        norm=whole.norm_settings(connector),
        qformer=qformer_settings(connector),
        llm=t5_settings(llm),
    )
    layout = case.config("layout")
    settings |= {
        "vocab.image": layout["image_token_id"],
        "vocab.pad": llm["pad_id"],
        "vocab.start": llm["decoder_start_id"],
        "vocab.eos": llm["eos_id"],
    }
    text = whole.read_spec("blip2_t5.lmm", blip2.RESULTS, case)
    return compile_text(text.replace("from std.nn ", f"{ACT_IMPORT}from std.nn ", 1), settings)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case; what stands at padding is 0."""
    ids, mask = case.inputs["input_ids"].astype(np.int64), mask_of(case)
    answer = case.inputs["decoder_input_ids"].astype(np.int64)
    images = case.inputs.get("image")
    tokens = None
    outputs: Outputs = {}
    if images is not None and len(images):
        images = images.astype(np.float32)
        tokens = runner.encode(images, {})["result"]
        outputs["connector_tokens"] = tokens
        if set(blip2.RESULTS) & set(case.outputs):
            outputs |= runner.flow(whole.FLOW, {"image": images})
    embeds = runner.embed(ids, tokens)
    memory = runner.read(embeds, mask)
    given = (case.inputs.get(name) for name in ("decoder_attention_mask", "decoder_mask"))
    real = next((mask for mask in given if mask is not None), np.ones_like(answer)).astype(bool)
    logits = runner.answer(answer, real, memory, mask)
    outputs |= {"inputs_embeds": embeds, "encoder_output": np.where(mask[..., None], memory, 0)}
    outputs["logits"] = np.where(real[..., None], logits, 0)
    for name, flow in BIASES.items():
        if name in case.outputs:
            places = np.arange(case.outputs[name].shape[-1])
            outputs[name] = runner.flow(flow, {"tokens": places})["bias"]
    if "greedy_ids" in case.outputs:
        count = case.outputs["greedy_ids"].shape[1] - 1
        outputs["greedy_ids"] = runner.greedy_answer(ids, mask.astype(np.int64), count)
    return outputs
