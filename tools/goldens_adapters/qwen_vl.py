"""Qwen-VL: its encoder with the resampler, Qwen-7B alone, and the whole spec at the sizes of the case.

Ids inside an image do not matter to the reference, which reads a path from them; here each is the placeholder.
Axes: B batch, T tokens.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flows import FLOW, add_flow, flow_text, images_of, read_text, shown
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import ROOM, activation, arguments, demand, has_rest, pick

NAME = "qwen_vl"
FEATURES = {"vision_features": "vision(pixel_values)"}
PLACEHOLDER = -200


def accepts(case: Case) -> bool:
    """Whether a case is about Qwen-VL or one of its parts."""
    return case.system in ("qwen_vl", "qwen_7b") and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The part of the case as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    images = images_of(case)
    if case.part == "encoder":
        return runner.flow(FLOW, {"pixel_values": images})
    ids = marked(case.inputs["input_ids"], case.config("layout"))
    taps = {"hidden_after_layer0": "llm.layers.0", "final_hidden": "llm"}
    outputs = read_text(case, ids, runner, taps)
    if images is not None and shown(case, FEATURES):
        outputs |= runner.flow(FLOW, {"pixel_values": images})
    return outputs


def marked(ids: Array, layout: dict[str, Any]) -> Array:
    """Ids [B, T] with the placeholder strictly between the marks of every image."""
    if not layout:
        return ids
    starts, ends = ids == layout["image_start_id"], ids == layout["image_end_id"]
    opened = np.cumsum(starts, axis=1) - np.cumsum(ends, axis=1)
    return np.where((opened > 0) & ~starts, PLACEHOLDER, ids)


def vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `BigGVit` for a `vision` section."""
    demand(
        vision,
        norm="layernorm_pre",
        patch_bias=False,
        class_token=False,
        ln_pre=True,
        final_norm=False,
        head_dim=vision["width"] // vision["heads"],
        grid=vision["image_size"] // vision["patch_size"],
    )
    sizes = ("image_size", "patch_size", "channels", "width", "depth", "heads", "mlp_width")
    found = pick(vision, *sizes, "norm_eps") | {"act": activation(vision)}
    return found | {"table_side": vision["pos_table_grid"], "rest": has_rest(vision)}


def resampler_settings(connector: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Resampler` for a `connector` section, but for what it reads."""
    demand(
        connector,
        kind="cross_attention_resampler",
        kv_proj_bias=False,
        ln_post=True,
        depth=1,
        queries=connector["query_grid"] ** 2,
    )
    return pick(connector, "width", "heads", "norm_eps") | {"query_side": connector["query_grid"]}


def qwen_settings(llm: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Qwen` for an `llm` section."""
    demand(
        llm,
        arch="qwen-1",
        norm="rmsnorm_pre",
        kv_heads=llm["heads"],
        qkv_bias=True,
        out_bias=False,
        mlp_bias=False,
        rope_layout="half_split",
        tie_embeddings=False,
    )
    sizes = pick(llm, "vocab", "width", "depth", "heads", "head_dim", "mlp_width", "norm_eps")
    return sizes | {
        "rotary_dim": int(llm["head_dim"] * llm["rope_fraction"]),
        "rope_theta": float(llm["rope_theta"]),
        "trained": llm["train_seq_length"],
        "dynamic_ntk": llm["dynamic_ntk"],
        "logn": llm["logn_attn"],
    }


def _encoder(case: Case) -> lmmdsl.Spec:
    vision, connector = case.config("vision"), case.config("connector")
    flow = flow_text(
        case,
        "pixel_values",
        {"vision_features": "seen", "resampler_tokens": "read.found", "connector_tokens": "read"},
        first="seen = vision(pixel_values) read = resampler(seen)",
    )
    reads = "in = vision.width, image_side = vision.grid"
    text = f"""from std.connector.resampler import Resampler
from std.vision.bigg         import BigGVit

model Golden {{
  encoder vision: BigGVit({arguments(vision_settings(vision))})
  connector resampler: Resampler({reads}, {arguments(resampler_settings(connector))})

  weights qwen "golden/case" {{ vision = "", resampler = "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _llm(case: Case) -> lmmdsl.Spec:
    text = f"""from std.llm.qwen import Qwen

model Golden {{
  llm llm: Qwen({arguments(qwen_settings(case.config("llm")) | {"context": _length(case)})})

  weights qwen "golden/case" {{ llm = "" }}
}}
"""
    return compile_text(text, {})


def _model(case: Case) -> lmmdsl.Spec:
    llm, layout = case.config("llm"), case.config("layout")
    demand(case.config("connector"), width=llm["width"], queries=layout["image_tokens"])
    settings = whole.settings_of(
        vision=vision_settings(case.config("vision")),
        resampler=resampler_settings(case.config("connector")),
        llm=qwen_settings(llm) | {"context": _length(case)},
        vocab={"imgpad": PLACEHOLDER},
    )
    settings |= {"words": 0, "marks": 0}  # the case's own ids stand in its input
    text = (whole.FOLDER / "qwen_vl.lmm").read_text(encoding="utf-8")
    if images_of(case) is not None and shown(case, FEATURES):
        text = add_flow(text, flow_text(case, "pixel_values", FEATURES))
    return compile_text(text, settings)


def _length(case: Case) -> int:
    """A context that holds the case, which names none, and what the layouts always hold."""
    return max(int(case.inputs["input_ids"].shape[1]), ROOM)


_BUILDERS = {"encoder": _encoder, "llm": _llm, "model": _model}
