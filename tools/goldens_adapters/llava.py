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
from goldens_adapters.whole import images_of
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
    text = (FOLDER / SPECS[case.system]).read_text(encoding="utf-8")
    return compile_text(_with_flow(text, case), settings)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    images = images_of(case)
    ids = case.inputs["input_ids"].astype(np.int64)
    mask = case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)
    layout = case.config("layout")
    taken, zeroed = None, np.ones_like(mask)
    if layout.get("image_token_expands"):
        ids, mask, taken = expand(ids, mask, layout)
        zeroed = mask
    tokens = runner.encode(images, {})["result"] if len(images) else None
    rows = None if tokens is None else tokens.reshape(1, -1, tokens.shape[-1])
    embeds = runner.embed(ids, rows if rows is None or taken is None else rows[:, taken])
    logits = runner.decode(embeds, mask, {})["logits"]
    outputs = {
        "inputs_embeds": np.where(zeroed[..., None], embeds, 0),
        "expanded_mask": mask.astype(np.int64),
        "logits": np.where(mask[..., None], logits, 0),
    }
    if tokens is not None:
        outputs["connector_tokens"] = tokens
        outputs["vision_features"] = runner.flow("golden_features", {"image": images})["result"]
    return outputs


def expand(ids: Array, mask: Array, layout: dict[str, Any]) -> tuple[Array, Array, Array]:
    """Rewrite the original layout: drop padding, repeat each marker, cut what is too long, pad again.

    Returns:
        ids [B, T], mask [B, T], and which of the I * N visual rows stand in the text, in order.
    """
    marker, count = layout["image_token_id"], layout["tokens_per_image"]
    limit = next((layout[key] for key in LIMITS if layout.get(key)), None)
    rows, taken, image = [], [], 0
    for row, real in zip(ids, mask, strict=True):
        row = row[real]
        markers = int((row == marker).sum())
        long = np.repeat(row, np.where(row == marker, count, 1))[:limit]
        taken += range(image * count, image * count + int((long == marker).sum()))
        image += max(markers, 1)  # a row without an image still takes one from the list
        rows.append(long)
    length = max(map(len, rows))
    left = layout.get("padding_side", "right") == "left"
    spare = [(length - len(row), 0) if left else (0, length - len(row)) for row in rows]
    padded = [
        np.pad(row, width, constant_values=layout.get("pad_id", 0))
        for row, width in zip(rows, spare, strict=True)
    ]
    kept = [np.pad(np.ones(len(row), bool), width) for row, width in zip(rows, spare, strict=True)]
    return np.stack(padded), np.stack(kept), np.array(taken, int)


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
