"""CogVLM under the names of its first code and of the hub, and CogVLM2: the encoder alone, and the whole specs.

Axes: I images, B batch, T tokens.
"""

import re
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, BadCase, Case
from goldens_adapters.flows import FLOW, add_flow, flow_text, images_of, mask_of, read_text, shown
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, llama_settings, pick

IMAGE = -1
MARKS = ("image_embed_mask", "token_type_ids")  # 1 on the rows of an image and those that frame it
SPECS = {"cogvlm": "cogvlm.lmm", "cogvlm_hf": "cogvlm.lmm", "cogvlm2": "cogvlm2.lmm"}
FEATURES = {
    "cogvlm.lmm": (
        "drop_first(vision(pixel_values))",
        "pixel_values |> vision |> drop_first |> adapter",
    ),
    "cogvlm2.lmm": (
        "drop_first(vision(pixel_values))",
        "pixel_values |> vision |> drop_first |> halve |> adapter",
    ),
}


def accepts(case: Case) -> bool:
    """Whether a case is about CogVLM, CogVLM2 or their encoder."""
    return case.system in SPECS and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The encoder of the case as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    if case.part == "encoder":
        return runner.flow(FLOW, {"pixel_values": case.inputs["pixel_values"].astype(np.float32)})
    depth, images = case.config("llm")["depth"], images_of(case)
    taps = {f"hidden_after_layer{k}": f"llm.layers.{k}" for k in range(depth)}
    ids = marked(case)
    outputs = read_text(case, ids, runner, taps | {"final_hidden": "llm"})
    facts = runner.facts(ids, mask_of(case))
    check_facts(case, facts)
    outputs |= {"position_ids": facts["position_ids"], "vision_expert_mask": facts["on_image_rows"]}
    if images is not None:
        outputs.pop("connector_tokens")  # of the case: without the vectors around the image
        outputs |= runner.flow(FLOW, {"pixel_values": images})
    return outputs


def marked(case: Case) -> Array:
    """The ids of a case with the placeholder where rows of an image stand; the case's own do not matter there."""
    ids = case.inputs["input_ids"].astype(np.int64)
    for name in MARKS:
        ids = np.where(case.inputs.get(name, np.zeros_like(ids)).astype(bool), IMAGE, ids)
    return ids


def check_facts(case: Case, facts: Outputs) -> None:
    """Refuse a case whose masks or positions are not those that follow from its ids. Padding has none."""
    real = mask_of(case)
    expert = case.inputs.get("vision_expert_mask", facts["on_image_rows"]).astype(bool)
    if (expert != facts["on_image_rows"])[real].any():
        raise BadCase("vision_expert_mask is not 1 on all rows of each image but the last")
    apart = case.inputs.get("position_ids", facts["position_ids"]) - facts["position_ids"]
    if any(len(set(row[kept])) > 1 for row, kept in zip(apart, real, strict=True)):
        raise BadCase("position_ids do not count the patches of each image once")


def vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Eva2Vit` for a `vision` section."""
    demand(
        vision,
        norm="layernorm_on_branch_output",
        patch_bias=True,
        class_token=True,
        pos="learned_absolute_incl_cls",
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        final_norm=False,
        head_dim=vision["width"] // vision["heads"],
        grid=[side // vision["patch_size"] for side in vision["image_size"]],
    )
    sizes = pick(
        vision, "patch_size", "channels", "width", "depth", "heads", "mlp_width", "norm_eps"
    )
    height, width = vision["image_size"]
    return sizes | {"image_size": height, "image_width": width, "act": activation(vision)}


def llm_settings(llm: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Llama` for an `llm` section."""
    demand(
        llm,
        norm="rmsnorm_pre",
        qkv_bias=False,
        expert_parts=["qkv", "attn_out", "mlp"],
        tie_embeddings=False,
    )
    return llama_settings({name: value for name, value in llm.items() if name != "norm"})


def _encoder(case: Case) -> lmmdsl.Spec:
    vision = case.config("vision")
    results = {f"hidden_after_layer{k}": f"seen.hidden[{k + 1}]" for k in range(vision["depth"])}
    flow = flow_text(
        case,
        "pixel_values",
        results | {"vision_features": "drop_first(seen)"},
        first="seen = vision(pixel_values)",
    )
    text = f"""from std.tokens      import drop_first
from std.vision.eva2 import Eva2Vit

model Golden {{
  encoder vision: Eva2Vit({arguments(vision_settings(vision))})

  weights sat "golden/sat" {{ vision = "" }}
  weights hf "golden/hub" {{ vision = "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _model(case: Case) -> lmmdsl.Spec:
    vision, connector, llm = (case.config(name) for name in ("vision", "connector", "llm"))
    file = SPECS[case.system]
    halved = file == "cogvlm2.lmm"
    demand(llm, expert_qkv_bias=halved)
    demand(
        connector, kind="glu_adapter", norm="layernorm", act1="gelu_erf", act2="silu", bias=False
    )
    demand(connector, downsample_conv=halved, width=llm["width"])
    demand(connector, **{"in": vision["width"]})
    settings = whole.settings_of(
        vision=vision_settings(vision),
        adapter={"mlp_width": connector["mlp_width"], "norm_eps": connector["norm_eps"]},
        llm=llm_settings(llm),
    )
    ids = {"words": llm["vocab"] - 2} if halved else {}
    settings |= ids | {"vocab.image": IMAGE}
    text = (whole.FOLDER / file).read_text(encoding="utf-8")
    # A case may have pictures that are not square, which nobody prepares.
    text = re.sub(r"\n  preprocess vision \{.*?\n  \}\n", "\n", text, flags=re.DOTALL)
    text = re.sub(
        r"context = \d+", f"context = {max(256, case.inputs['input_ids'].shape[1])}", text
    )
    results = dict(zip(("vision_features", "connector_tokens"), FEATURES[file], strict=True))
    if images_of(case) is not None and shown(case, results):
        text = add_flow(text, flow_text(case, "pixel_values", results))
    return compile_text(text, settings)


_BUILDERS = {"encoder": _encoder, "model": _model}
