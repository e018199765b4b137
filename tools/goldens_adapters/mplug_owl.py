"""mPLUG-Owl: its encoder and its visual abstractor alone, and the whole spec at the sizes of the case.

Axes: B batch, T tokens, I images, V vocabulary.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flows import (
    FLOW,
    add_flow,
    flow_text,
    images_of,
    inputs_of,
    mask_of,
    read_text,
    shown,
)
from goldens_adapters.lora import add_adapters
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, has_rest, llama_settings, pick

NAME = "mplug_owl"
FEATURES = {"vision_features": "vision(pixel_values)"}
SOURCES = {"encoder": "pixel_values", "connector": "encoder_features"}


def accepts(case: Case) -> bool:
    """Whether a case is about mPLUG-Owl or one of its parts."""
    return case.system == "mplug_owl" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The part of the case as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    if case.part != "model":
        return runner.flow(FLOW, inputs_of(case, SOURCES[case.part]))
    ids, images = case.inputs["input_ids"], images_of(case)
    outputs = read_text(case, ids, runner, {"final_hidden": "llm"})
    outputs["loss"] = text_loss(outputs["logits"], ids, mask_of(case), case.config("layout"))
    if images is not None and shown(case, FEATURES):
        outputs |= runner.flow(FLOW, {"pixel_values": images})
    return outputs


def text_loss(logits: Array, ids: Array, mask: Array, layout: dict[str, Any]) -> Array:
    """Mean cross-entropy [1] of the next token where that is text, from logits [B, T, V] and ids [B, T]."""
    top = logits.max(axis=-1, keepdims=True)
    scores = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    wanted, counts = ids[:, 1:], mask[:, 1:] & (ids[:, 1:] != layout["image_token"])
    found = np.take_along_axis(scores[:, :-1], np.maximum(wanted, 0)[..., None], axis=-1)[..., 0]
    return np.array([-found[counts].mean()], np.float32)


def vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `MplugVit` for a `vision` section."""
    demand(
        vision,
        kind="clip_vit",
        norm="layernorm",
        patch_bias=False,
        class_token=True,
        position="learned_absolute",
        pre_norm=True,
        final_norm=True,
        attn_bias=True,
        mlp_bias=True,
        head_dim=vision["width"] // vision["heads"],
    )
    sizes = ("image_size", "patch_size", "channels", "width", "depth", "heads", "mlp_width")
    found = pick(vision, *sizes, "norm_eps")
    return found | {"act": activation(vision), "rest": has_rest(vision)}


def abstractor_settings(connector: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Abstractor` for a `connector` section, but for the widths on its two sides."""
    demand(
        connector,
        kind="mplug_visual_abstractor",
        norm="layernorm",
        activation="silu_gated",
        attn_bias=True,
        mlp_bias=True,
        append_token="vit_eos",
        encoder_width=connector["width"],
        head_dim=connector["width"] // connector["heads"],
    )
    return pick(connector, "depth", "heads", "mlp_width", "queries", "norm_eps", "mlp_norm_eps")


def _encoder(case: Case) -> lmmdsl.Spec:
    vision = case.config("vision")
    results = {f"hidden_{k}": f"seen.hidden[{k}]" for k in range(1, vision["depth"] + 1)}
    results |= {"embeddings": "seen.hidden[0]", "vision_features": "seen"}
    flow = flow_text(
        case,
        "pixel_values",
        results | {"pooled": "vision.pooled(seen)"},
        first="seen = vision(pixel_values)",
    )
    text = f"""from std.vision.mplug import MplugVit

model Golden {{
  encoder vision: MplugVit({arguments(vision_settings(vision))})

  weights mplug "golden/case" {{ vision = "vision_model" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _connector(case: Case) -> lmmdsl.Spec:
    connector = case.config("connector")
    results = {f"layer_{k}": f"read.hidden[{k + 1}]" for k in range(connector["depth"])}
    flow = flow_text(
        case,
        "encoder_features",
        results | {"connector_tokens": "read"},
        first="read = abstractor(encoder_features)",
    )
    widths = {"width": connector["width"], "out": connector["out_width"]}
    text = f"""from std.connector.abstractor import Abstractor

model Golden {{
  connector abstractor: Abstractor({arguments(widths | abstractor_settings(connector))})

  weights mplug "golden/case" {{ abstractor = "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _model(case: Case) -> lmmdsl.Spec:
    connector, llm, layout = (case.config(name) for name in ("connector", "llm", "layout"))
    demand(connector, width=case.config("vision")["width"], out_width=llm["width"])
    demand(llm, kind="llama", attn_bias=False, mlp_bias=False)
    demand(layout, visual_tokens_per_image=connector["queries"] + 1)
    settings = whole.settings_of(
        vision=vision_settings(case.config("vision")),
        abstractor=abstractor_settings(connector),
        llm=llama_settings(llm),
    )
    ids = {"image": "image_token", "bos": "bos_id", "eos": "eos_id", "pad": "pad_id"}
    settings |= {f"vocab.{name}": layout[key] for name, key in ids.items() if key in layout}
    text = (whole.FOLDER / "mplug_owl.lmm").read_text(encoding="utf-8")
    text = add_adapters(text, llm)
    if images_of(case) is not None and shown(case, FEATURES):
        text = add_flow(text, flow_text(case, "pixel_values", FEATURES))
    return compile_text(text, settings)


_BUILDERS = {"encoder": _encoder, "connector": _connector, "model": _model}
