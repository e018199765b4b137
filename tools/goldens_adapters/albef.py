"""ALBEF: its image encoder alone, the pretrained model with its three flows, and the model that answers questions.

Axes: B batch (pair b is image b and text b), T tokens of a text, Q of a question.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flows import FLOW, add_flow, flow_text
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, pick

NAME = "albef"
SHOWN = """
  flow golden(image: [B, vision.channels, vision.image_size, vision.image_width], ids: int[B, T], keys: bool[B, T]) -> (
    vision_features: [B, vision.tokens, vision.width], image_feat: [B, shared],
    text_embeds: [B, T, text.width], text_feat: [B, shared], multimodal_embeds: [B, T, text.width]
  ) {
    visual = vision(image)
    read = text(ids, keys)
    left = visual[:, 0] |> vision_proj |> normalize
    right = read[:, 0] |> text_proj |> normalize
    return visual, left, read, right, fusion(read, keys)
  }
"""


def accepts(case: Case) -> bool:
    """Whether a case is about ALBEF or its encoder."""
    return case.system == "albef" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The encoder as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    image = case.inputs["image"].astype(np.float32)
    return _RUNNERS[case.part](case, runner, image)


def vit_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Vit` for a `vision` section."""
    demand(
        vision,
        type="vit",
        patch_bias=True,
        class_token="kept",
        position="learned_absolute",
        qkv="fused",
        qkv_bias=True,
        final_norm=True,
        head_dim=vision["width"] // vision["heads"],
    )
    size = vision["image_size"]
    height, width = size if isinstance(size, list) else (size, size)
    sizes = pick(vision, "patch_size", "channels", "width", "depth", "heads", "mlp_width")
    sizes |= pick(vision, "norm_eps") | {"act": activation(vision)}
    return {"image_size": height, "image_width": width} | sizes


def bert_settings(text: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Bert` and `BertLayers`, by path, for a `text` section."""
    demand(
        text,
        type="bert",
        norm="layernorm_post",
        activation="gelu_erf",
        position="learned_absolute",
        bias=True,
        tied_embeddings=True,
        head_dim=text["width"] // text["heads"],
        cross_attention_layers=list(range(text["fusion_layer"], text["depth"])),
    )
    eps = pick(text, "norm_eps")
    lower = pick(text, "width", "heads", "mlp_width", "vocab", "context") | eps
    lower |= {"depth": text["fusion_layer"], "kinds": text.get("type_vocab", 2)}
    upper = {"depth": text["depth"] - text["fusion_layer"]} | eps
    return whole.settings_of(text=lower, fusion=upper)


def decoder_settings(decoder: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `BertDecoder` for a `decoder` section."""
    demand(
        decoder,
        type="bert_causal",
        fusion_layer=0,
        cross_attention_layers=list(range(decoder["depth"])),
        cross_kv_width=text["width"],
        tied_embeddings=True,
    )
    sizes = ("width", "depth", "heads", "mlp_width", "vocab", "context", "norm_eps")
    return pick(text, "context") | pick(decoder, *sizes) | {"kinds": text.get("type_vocab", 2)}


def _encoder(case: Case) -> lmmdsl.Spec:
    results = {
        "patches": 'rearrange(vision.patch(image), "b d h w -> b (h w) d")',
        "block0": "seen.hidden[1]",
        "vision_features": "seen",
    }
    text = f"""from std.vision.vit import Vit

model Golden {{
  encoder vision: Vit({arguments(vit_settings(case.config("vision")))})

  weights timm "golden/case" {{ vision = "" }}
}}
"""
    flow = flow_text(case, "image", results, first="seen = vision(image)")
    return compile_text(add_flow(text, flow), {})


def _model(case: Case) -> lmmdsl.Spec:
    text, heads = case.config("text"), case.config("heads")
    demand(heads, itm_classes=2)
    demand(text, cross_kv_width=case.config("vision")["width"])
    settings = whole.settings_of(vision=vit_settings(case.config("vision")))
    settings |= bert_settings(text) | {"shared": heads["projection_width"]}
    settings |= whole.settings_of(mlm_head=pick(text, "norm_eps"))
    return compile_text(add_flow(_spec("albef.lmm"), SHOWN), settings)


def _vqa(case: Case) -> lmmdsl.Spec:
    text = case.config("text")
    settings = whole.settings_of(
        vision=vit_settings(case.config("vision")),
        decoder=decoder_settings(case.config("decoder"), text),
    )
    flow = flow_text(case, "image", {"vision_features": "vision(image)"})
    return compile_text(add_flow(_spec("albef_vqa.lmm"), flow), settings | bert_settings(text))


def _spec(name: str) -> str:
    return (whole.FOLDER / name).read_text(encoding="utf-8")


def _run_encoder(case: Case, runner: Runner, image: Array) -> Outputs:
    return runner.flow(FLOW, {"image": image})


def _run_model(case: Case, runner: Runner, image: Array) -> Outputs:
    inputs = {"image": image, "ids": case.inputs["input_ids"].astype(np.int64)}
    inputs["keys"] = _real(case, "input_ids", "attention_mask")
    found = runner.flow(FLOW, inputs)
    return found | {
        "sim_i2t": runner.flow("itc", inputs)["similarity"],
        "itm_logits": runner.flow("itm", inputs)["scores"],
        "mlm_logits": runner.flow("mlm", inputs)["logits"],
    }


def _run_vqa(case: Case, runner: Runner, image: Array) -> Outputs:
    ids, keys = case.inputs["question_ids"], _real(case, "question_ids", "question_mask")
    asked = {"image": image, "ids": ids.astype(np.int64), "keys": keys}
    states = runner.flow("ask", asked)["states"]
    answer = {"states": states, "question": keys, "ids": case.inputs["answer_ids"].astype(np.int64)}
    answer["keys"] = _real(case, "answer_ids", "answer_mask")
    logits = runner.flow("answer", answer)["logits"]
    return runner.flow(FLOW, {"image": image}) | {"question_states": states, "logits": logits}


def _real(case: Case, ids: str, mask: str) -> Array:
    """Which tokens are real: bool [B, T]."""
    return case.inputs.get(mask, np.ones_like(case.inputs[ids])).astype(bool)


_BUILDERS = {"encoder": _encoder, "model": _model, "vqa": _vqa}
_RUNNERS = {"encoder": _run_encoder, "model": _run_model, "vqa": _run_vqa}
