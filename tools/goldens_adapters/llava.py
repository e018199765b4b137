"""LLaVA-v1 and LLaVA-v1.5, whole: the specs of this repository at the sizes of the case.

The original code writes one marker id per image and pads only afterwards; here every image is as many
placeholders as it has tokens. Cases of the original layout are rewritten before they are run.
Axes: B batch, T tokens, I images, N tokens of an image, D width.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters.case import Array, Case
from goldens_adapters.clip import selected
from goldens_adapters.flows import add_flow
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.whole import PICTURES, images_of
from goldens_adapters.words import activation, clip_settings, demand, grid_settings, llama_settings

NAME = "llava"
SPECS = {"llava-v1": "llava_v1.lmm", "llava-v1_5": "llava_v1_5.lmm"}
LIMITS = ("max_length", "model_max_length", "tokenizer_model_max_length")
FOLDER = Path(__file__).resolve().parents[2] / "specs"


def accepts(case: Case) -> bool:
    """Whether a case is about a whole LLaVA."""
    return case.part == "whole" and case.system in SPECS


def build(case: Case) -> lmmdsl.Spec:
    """The spec with the sizes of the case, and a flow that shows what the connector reads."""
    vision, llm = case.config("vision"), case.config("llm")
    tower = clip_settings(vision) | grid_settings(case)
    settings: dict[str, Any] = {f"vision.{n}": v for n, v in tower.items()}
    settings |= {f"llm.{n}": v for n, v in llama_settings(llm).items()}
    settings |= _tokens(case.config("layout"))
    settings |= _connector(case)
    text = PICTURES.sub("", (FOLDER / SPECS[case.system]).read_text(encoding="utf-8"))
    return compile_text(_with_flow(text, case), settings)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    images = images_of(case)
    ids = case.inputs["input_ids"].astype(np.int64)
    mask = case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)
    layout = case.config("layout")
    tokens = runner.encode(images, {})["result"] if len(images) else None
    if tokens is not None and layout.get("image_token_expands"):
        given = case.inputs["image"].shape
        together = int(given[1]) if len(given) == 5 else 1
        ids, mask, taken = expand(ids, mask, layout, together)
        embeds = runner.embed(ids, tokens[taken] if len(taken) else None)
        embeds, mask = cut(embeds, mask, layout)
    else:
        embeds = runner.embed(ids, tokens)
    logits = runner.decode(embeds, mask, {})["logits"]
    outputs = {
        "inputs_embeds": embeds,
        "expanded_mask": mask.astype(np.int64),
        "logits": np.where(mask[..., None], logits, 0),
    }
    if tokens is not None:
        outputs["connector_tokens"] = tokens
    if tokens is not None and "vision_features" in case.outputs:
        outputs["vision_features"] = runner.flow("golden_features", {"image": images})["result"]
    return outputs


def expand(
    ids: Array, mask: Array, layout: dict[str, Any], together: int = 1
) -> tuple[Array, Array, Array]:
    """Rewrite the original layout: drop padding, repeat each marker, pad on the right.

    Args:
        ids: [B, T], one marker for each entry of the list of images.
        mask: [B, T].
        layout: ids of marker and padding, and how many tokens an image has.
        together: images of one entry.

    Returns:
        ids [B, T], mask [B, T], and the images that the rows use, in order.
    """
    marker, count = layout["image_token_id"], layout["tokens_per_image"] * together
    rows, taken, entry = [], [], 0
    for row, real in zip(ids, mask, strict=True):
        row = row[real]
        markers = int((row == marker).sum())
        taken += range(entry * together, (entry + markers) * together)
        entry += max(markers, 1)  # a row without an image still takes one from the list
        rows.append(np.repeat(row, np.where(row == marker, count, 1)))
    places = np.arange(max(map(len, rows)))
    kept = np.stack([places < len(row) for row in rows])
    padded = np.full(kept.shape, layout.get("pad_id", 0), np.int64)
    padded[kept] = np.concatenate(rows)
    return padded, kept, np.array(taken, int)


def cut(embeds: Array, mask: Array, layout: dict[str, Any]) -> tuple[Array, Array]:
    """Embeddings [B, T, D] cut at the sequence limit, which may stand inside an image, and padded with zeros."""
    limit = next((layout[key] for key in LIMITS if layout.get(key)), mask.shape[1])
    lengths = np.minimum(mask.sum(axis=1), limit)
    places = np.arange(lengths.max())
    kept = places < lengths[:, None]
    if layout.get("padding_side") == "left":
        kept = np.ascontiguousarray(kept[:, ::-1])
    padded = np.zeros((*kept.shape, embeds.shape[2]), embeds.dtype)
    padded[kept] = np.concatenate([row[:n] for row, n in zip(embeds, lengths, strict=True)])
    return padded, kept


def _tokens(layout: dict[str, Any]) -> dict[str, int]:
    names = {"image": "image_token_id", "bos": "bos_id", "eos": "eos_id", "pad": "pad_id"}
    return {f"vocab.{name}": layout[key] for name, key in names.items() if key in layout}


def _connector(case: Case) -> dict[str, Any]:
    connector = case.config("connector")
    width, layer = case.config("vision")["width"], case.config("vision").get("select_layer")
    read = width * (len(layer) if isinstance(layer, list) else 1)
    demand(connector, input_width=read, output_width=case.config("llm")["width"])
    found = {"proj.in": read, "proj.biased": connector.get("bias", True)}
    if case.system == "llava-v1":
        demand(connector, kind="linear")
        return found
    demand(connector, kind="mlp", layers=2)
    hidden = connector.get("hidden_width", connector["output_width"])
    return found | {"proj.hidden": hidden, "proj.act": activation(connector)}


def _with_flow(text: str, case: Case) -> str:
    """The spec that takes the layers of the case, and shows what the connector reads.

    A layer behind the one that is taken is not built; several stand side by side.
    """
    features = selected(case.config("vision"))
    visual = features.replace("seen.", "vision.")
    text = text.replace("vision.hidden[-2] |> drop_first", visual)
    if case.config("connector").get("activation") == "gelu_tanh":
        text = re.sub(r"import Mlp$", "import Mlp, gelu_tanh", text, flags=re.MULTILINE)
    if "drop_first" not in visual:
        text = re.sub(r"from std.tokens .*\n", "", text)
    if "vision_features" not in case.outputs:
        return text
    wanted = case.outputs["vision_features"].shape
    sizes = ", ".join(map(str, case.inputs["image"].shape[-3:]))
    return add_flow(text, f"""
  flow golden_features(image: [I, {sizes}]) -> [I, {wanted[1]}, {wanted[2]}] {{
    seen = vision(image)
    return {features}
  }}
""")  # fmt: skip
