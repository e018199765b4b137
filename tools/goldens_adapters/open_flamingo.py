"""Flamingo and OpenFlamingo as a whole: their specs at the sizes of the case.

The reference of the first wraps a LLaMA, for nobody can run Chinchilla; so does the adapter.
Axes: B batch, M images of a row, T tokens, I images.
"""

import re
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flamingo import (
    gated_settings,
    image_sides,
    nfnet_settings,
    require_images,
    resampler_settings,
)
from goldens_adapters.flows import FLOW, add_flow, mask_of
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, llama_settings, pick

NAME = "open_flamingo"
SIZES = ("width", "depth", "heads", "mlp_width", "norm_eps")
ROOM = 4096  # for the text of every layout; nothing depends on it
LLAMA = """
  weights open "golden/case" {
    vision    = "vision_encoder" as timm
    resampler = "perceiver"
    llm       = "lang_encoder" as hf
    llm.layers       = "lang_encoder.model.layers.{i}.decoder_layer" as hf
    llm.layers.xattn = "lang_encoder.model.layers.{i}.gated_cross_attn_layer"
  }
"""


def accepts(case: Case) -> bool:
    """Whether a case is about the whole of Flamingo or OpenFlamingo."""
    return case.system == "flamingo" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The spec with the sizes of the case."""
    demand(case.config("layout"), visual_tokens_in_text=0, frames=1)
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    ids, images = case.inputs["input_ids"].astype(np.int64), case.inputs["images"]
    pixels = images.reshape(-1, *images.shape[-3:]).astype(np.float32)
    tokens = runner.encode(pixels, {})["result"]
    marks = ids == case.config("layout")["image_token_id"]
    require_images(marks.sum(axis=1), images.shape[1])
    shown = tokens[of_text(marks, images.shape[1])] if marks.any() else tokens[:1]  # seen by none
    embeds = runner.embed(ids, None)
    found = runner.decode(embeds, mask_of(case), _taps(case), ids=ids, features=shown)
    found |= {"inputs_embeds": embeds, "connector_tokens": _by_row(tokens, images)}
    if "vision_features" in case.outputs:
        seen = runner.flow(FLOW, {"pixel_values": pixels})["vision_features"]
        found["vision_features"] = _by_row(seen, images)
    return found


def of_text(marks: Array, images: int) -> Array:
    """Which of the images, `images` for every row, the text has a place for: bool [B * M] from [B, T]."""
    return (np.arange(images) < marks.sum(axis=1, keepdims=True)).reshape(-1)


def _by_row(values: Array, images: Array) -> Array:
    return values.reshape(*images.shape[:2], *values.shape[1:])


def _taps(case: Case) -> dict[str, str]:
    """The parts that give what the case asks for: layers and what stands before them."""
    kinds = {"layer": "llm.layers.{}", "xattn": "llm.layers.{}.xattn"}
    found = (re.fullmatch(r"(layer|xattn)(\d+)", name) for name in case.outputs)
    return {m[0]: kinds[m[1]].format(m[2]) for m in found if m}


def _model(case: Case) -> lmmdsl.Spec:
    llm = case.config("llm")
    demand(llm, type="llama", bias=False)
    text = (whole.FOLDER / "flamingo.lmm").read_text(encoding="utf-8")
    text = text.replace(
        "from std.llm.chinchilla      import Chinchilla",
        "from std.llm.llama           import Llama as Chinchilla",
    )
    end = text.rindex("}")
    settings = {"vision": nfnet_settings(case.config("vision")), "llm": llama_settings(llm)}
    return _whole(case, text[:end] + LLAMA + text[end:], settings)


def _open(case: Case) -> lmmdsl.Spec:
    vision, llm = case.config("vision"), case.config("llm")
    demand(
        vision,
        type="clip_vit",
        patch_bias=False,
        class_token="used_then_dropped",
        pre_norm=True,
        post_norm_on_tokens=False,
        position="learned_absolute",
        head_dim=vision["width"] // vision["heads"],
    )
    sees = image_sides(vision) | pick(vision, "patch_size", *SIZES) | {"act": activation(vision)}
    sees["shared_width"] = case.weights_shape("vision_encoder.proj")[1]
    name, says = _mpt(llm) if llm["type"] == "mpt" else _neox(llm)
    text = (whole.FOLDER / name).read_text(encoding="utf-8")
    return _whole(case, text, {"vision": sees, "llm": says})


def _mpt(llm: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    demand(
        llm,
        activation="gelu_erf",
        norm="layernorm_no_bias",
        position="alibi",
        bias=False,
        tied_embeddings=True,
        kv_heads=llm["heads"],
        head_dim=llm["width"] // llm["heads"],
    )
    found = pick(llm, *SIZES, "vocab")
    return "open_flamingo.lmm", found | {"bias_max": llm["alibi_bias_max"]}


def _neox(llm: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    width = llm["width"] // llm["heads"]
    demand(
        llm,
        type="gpt_neox",
        activation="gelu_erf",
        position="rope",
        rope_layout="half_split",
        bias=True,
        tied_embeddings=False,
        kv_heads=llm["heads"],
        head_dim=width,
    )
    found = pick(llm, *SIZES, "vocab", "rope_theta")
    turned = int(width * llm.get("rope_fraction", 1.0)) // 2
    parallel = llm.get("parallel_residual", False)
    return "open_flamingo_4b.lmm", found | {"turned": turned, "parallel": parallel}


def _whole(case: Case, text: str, parts: dict[str, dict[str, Any]]) -> lmmdsl.Spec:
    """A spec with its parts, what is injected and the ids of its tokens as in the case."""
    xattn, layout = case.config("xattn"), case.config("layout")
    demand(case.config("connector"), max_media=None)  # an image does not know its place in the row
    reads = {"max_frames": 0} | resampler_settings(case.config("connector"))
    settings = whole.settings_of(**parts, resampler=reads)
    settings |= {"interval": xattn["every"], "llm.context": ROOM}
    ids = {"image": "image_token_id", "eoc": "end_of_chunk_id", "pad": "pad_id"}
    settings |= {f"vocab.{name}": layout[key] for name, key in ids.items() if f"<{name}> =" in text}
    demand(
        xattn,
        immediate_only=True,
        width=case.config("llm")["width"],
        before_layers=list(
            range(xattn["before_layers"][0], case.config("llm")["depth"], xattn["every"])
        ),
    )
    first = f"every interval from {xattn['before_layers'][0]}]"
    text = re.sub(r"every interval.*?\]", first, text, count=1)
    text = re.sub(
        r"GatedXAttnDense\(.*?\)\n",
        f"GatedXAttnDense({arguments(gated_settings(xattn))})\n",
        text,
        flags=re.DOTALL,
    )
    text = re.sub(r", limit = \d+", "", text)
    text = re.sub(r"preprocess vision \{.*?\n  \}", "", text, flags=re.DOTALL)  # squares only
    if "vision_features" in case.outputs:
        text = add_flow(text, _features(case, "drop_first" in text))
    return compile_text(text, settings)


def _features(case: Case, has_class: bool) -> str:
    """A flow from images [I, C, H, W] to the tokens of the encoder."""
    image = ", ".join(map(str, case.inputs["images"].shape[-3:]))
    found = ", ".join(map(str, case.outputs["vision_features"].shape[2:]))
    return f"""
  flow {FLOW}(pixel_values: [I, {image}]) -> (vision_features: [I, {found}]) {{
    return vision(pixel_values){" |> drop_first" if has_class else ""}
  }}
"""


_BUILDERS = {"model": _model, "openflamingo": _open}
