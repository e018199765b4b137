"""Whole models whose visual tokens stand in the input: what their adapters share.

Axes: B batch, T tokens, I images, N tokens of an image, D width.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goldens_adapters.case import Array, Case
from goldens_adapters.model import Outputs, Runner
from goldens_adapters.words import demand, write

FOLDER = Path(__file__).resolve().parents[2] / "specs"
FLOW = "golden_features"
PICTURES = re.compile(r"  preprocess \w+ \{\n.*?\n  \}\n", re.DOTALL)


def read_spec(name: str, results: Mapping[str, str], case: Case) -> str:
    """The text of a spec, with a flow from images to those `results` that the case asks for.

    A case's context may be too short for the text that the layouts allow; their limits go. So does what is told of
    pictures, which a case gives as pixels of any size.
    """
    text = re.sub(r", limit = \d+", "", (FOLDER / name).read_text(encoding="utf-8"))
    text = PICTURES.sub("", text)
    end = text.rindex("}")
    wanted = {output: value for output, value in results.items() if output in case.outputs}
    if not wanted:
        return text
    types = [f"{output}: {_shape(case.outputs[output])}" for output in wanted]
    image = ", ".join(map(write, case.inputs["image"].shape[-3:]))
    flow = f"""
  flow {FLOW}(image: [I, {image}]) -> ({", ".join(types)}) {{
    return {", ".join(wanted.values())}
  }}
"""
    return text[:end] + flow + text[end:]


def settings_of(**parts: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of several parts, by path."""
    return {
        f"{part}.{name}": value for part, found in parts.items() for name, value in found.items()
    }


def token_settings(layout: Mapping[str, Any]) -> dict[str, int]:
    """Ids of the named tokens that every spec has; nothing here depends on where an answer ends."""
    names = {"bos": ("bos_id",), "image": ("image_token_id", "image_placeholder_id")}
    found = {
        f"vocab.{name}": layout[key]
        for name, keys in names.items()
        for key in keys
        if key in layout
    }
    return found | {"vocab.eos": layout.get("eos_id", layout["bos_id"])}


def norm_settings(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the norm behind the encoder."""
    demand(connector, vision_norm="layernorm")
    return {"eps": connector["vision_norm_eps"]}


def run(case: Case, runner: Runner, results: Mapping[str, str]) -> Outputs:
    """All outputs of a case: `results` of the flow, tokens, embeddings and logits (0 at padding)."""
    images = images_of(case)
    ids = case.inputs["input_ids"].astype(np.int64)
    mask = case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)
    tokens = runner.encode(images, {})["result"] if len(images) else None
    embeds = runner.embed(ids, tokens if tokens is None else tokens[_used(case, tokens)])
    logits = runner.decode(embeds, mask, {})["logits"]
    outputs = {"inputs_embeds": embeds, "logits": np.where(mask[..., None], logits, 0)}
    if tokens is None:
        return outputs
    shown = runner.flow(FLOW, {"image": images}) if set(results) & set(case.outputs) else {}
    return outputs | {"connector_tokens": tokens} | shown


def images_of(case: Case) -> Array:
    """Images [I, C, H, W] of a case, which may have them per row of the batch, or none."""
    images = case.inputs.get("image", np.zeros((0, 3, 1, 1)))
    return images.reshape(-1, *images.shape[-3:]).astype(np.float32)


def _used(case: Case, tokens: Array) -> Array:
    """Which of the images [I, N, D] stand in the text: of a row that has room for k, its first k."""
    given, layout = case.inputs["image"].shape, case.config("layout")
    if len(given) < 5:
        return np.arange(len(tokens))
    placeholder = layout.get("image_placeholder_id", layout.get("image_token_id"))
    rooms = (case.inputs["input_ids"] == placeholder).sum(axis=1) // tokens.shape[1]
    rows = np.arange(len(tokens)).reshape(given[:2])
    return np.concatenate([row[:room] for row, room in zip(rows, rooms, strict=True)])


def _shape(value: Array) -> str:
    return f"[I, {', '.join(map(str, value.shape[1:]))}]"
