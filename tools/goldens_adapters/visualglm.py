"""VisualGLM and ChatGLM-6B: encoder with connector, the language model alone, and the whole spec at a case's sizes.

The reference overwrites the ids of an image by their place; here each is the placeholder. A row's leading padding
counts in the positions of the code that was published with the language model, and does not in the other's, nor here.
Axes: B batch, T tokens.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flows import FLOW, add_flow, flow_text, images_of
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, pick

NAME = "visualglm"
PLACEHOLDER = -200
RESULTS = {
    "vision_features": "seen",
    "qformer_tokens": "read",
    "connector_tokens": "proj(read)",
}
FIRST = "seen = norm(vision(pixel_values)) read = qformer(seen)"


def accepts(case: Case) -> bool:
    """Whether a case is about VisualGLM or its language model."""
    return case.system in ("visualglm", "chatglm") and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The part of the case as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    images = images_of(case)
    found = {} if images is None else runner.flow(FLOW, {"pixel_values": images})
    return found if case.part == "connector" else found | _read(case, runner)


def _read(case: Case, runner: Runner) -> Outputs:
    """From ids to logits, and what decoding is told of the tokens."""
    layout, images = case.config("layout"), images_of(case)
    ids = marked(case, layout)
    real = real_tokens(case, layout["pad_id"])
    rows = None if images is None else runner.encode(images, {})["result"]
    embeds = runner.embed(ids, rows)
    facts = runner.facts(ids, real)
    places, depth = facts["position_ids"], case.config("llm")["depth"]
    taps = {f"hidden_after_layer{k}": f"llm.layers.{k}" for k in range(depth)}
    if case.part == "llm":
        places = with_padding(places, real)
    return {
        "inputs_embeds": embeds,
        "position_ids": places,
        "allowed": allowed(facts["prefix"], real),
        **runner.decode(embeds, real, taps | {"final_hidden": "llm"}, ids=ids),
    }


def marked(case: Case, layout: Mapping[str, Any]) -> Array:
    """Ids [B, T] with the placeholder where the image of every row stands."""
    ids = case.inputs["input_ids"].astype(np.int64)
    if images_of(case) is not None:
        first = case.inputs["pre_image"] if "pre_image" in case.inputs else layout["pre_image"]
        start = int(np.ravel(first)[0])  # the same for all rows
        ids = ids.copy()
        ids[:, start : start + layout["image_tokens"]] = PLACEHOLDER
    return ids


def real_tokens(case: Case, pad: int) -> Array:
    """Which tokens are no padding: bool [B, T]. Only a leading run of the padding id is padding.

    The reference takes an image for padding whose ids are that id and which has no words in front; so does this.
    """
    mask = case.inputs.get("attention_mask")
    return (
        np.cumsum(case.inputs["input_ids"] != pad, axis=1) > 0
        if mask is None
        else mask.astype(bool)
    )


def with_padding(places: Array, real: Array) -> Array:
    """Positions [B, 2, T] whose first channel counts leading padding, too."""
    padding = (np.cumsum(real, axis=1) == 0).sum(axis=1, keepdims=True)  # [B, 1]
    slots = np.arange(real.shape[1])
    first = np.where(slots < padding, slots, places[:, 0] + padding)
    return np.stack([first, places[:, 1]], axis=1)


def allowed(prefix: Array, real: Array) -> Array:
    """Who sees whom, [B, T, T]: the prefix and what comes before, padding neither sees nor is seen."""
    slots = np.arange(real.shape[1])
    sees = (slots <= slots[:, None]) | (slots < prefix[:, None, None])
    return sees & real[:, None] & real[:, :, None]


def vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `EvaVit` for a `vision` section."""
    height, width = vision["image_size"]
    demand(
        vision,
        arch="eva_clip_g",
        norm="layernorm_pre",
        patch_bias=True,
        class_token=True,
        class_token_kept=True,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        pos="learned_absolute_incl_cls",
        head_dim=vision["width"] // vision["heads"],
        grid=[side // vision["patch_size"] for side in (height, width)],
    )
    sizes = pick(
        vision, "patch_size", "channels", "width", "depth", "heads", "mlp_width", "norm_eps"
    )
    sides = {"image_size": height, "image_width": width}
    return sides | sizes | {"act": activation(vision), "key_biased": True}


def query_settings(connector: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `QueryStack` for a `connector` section, but for what it reads."""
    crossing, depth = connector["cross_attention_layers"], connector["depth"]
    demand(
        connector,
        kind="qformer_linear",
        activation="gelu_erf",
        proj_bias=True,
        head_dim=connector["width"] // connector["heads"],
    )
    sizes = pick(connector, "queries", "width", "depth", "heads", "mlp_width", "norm_eps")
    return sizes | {"crossing": [layer in crossing for layer in range(depth)]}


def glm_settings(llm: dict[str, Any], length: int) -> dict[str, Any]:
    """Arguments of `ChatGlm` for an `llm` section; `length` is the context."""
    demand(
        llm,
        arch="chatglm_6b",
        activation="gelu_tanh",
        norm="layernorm",
        kv_heads=llm["heads"],
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=False,
    )
    sizes = pick(llm, "vocab", "width", "depth", "heads", "head_dim", "mlp_width", "norm_eps")
    theta, tied = float(llm["rope_theta"]), bool(llm["tie_embeddings"])
    alpha = {"alpha": llm["residual_alpha"], "context": length}
    return sizes | alpha | {"rope_theta": theta, "tied": tied}


def token_settings(layout: Mapping[str, Any]) -> dict[str, int]:
    """Ids of the tokens that the layout names; nothing here depends on where an answer ends."""
    ids = {"bos": "bos_id", "gMASK": "gmask_id", "MASK": "mask_id", "pad": "pad_id"}
    return {token: layout[key] for token, key in ids.items()} | {"eos": layout["bos_id"]}


def _connector(case: Case) -> lmmdsl.Spec:
    vision, connector = case.config("vision"), case.config("connector")
    text = f"""from std.connector.qformer import QueryStack
from std.nn                import LayerNorm, Linear
from std.vision.eva        import EvaVit

model Golden {{
  encoder vision: EvaVit({arguments(vision_settings(vision))})
  norm: LayerNorm(vision.width, 1e-5)
  connector qformer: QueryStack(image_width = vision.width, {arguments(query_settings(connector))})
  connector proj: Linear(qformer.width, {connector["proj_out"]})

  weights sat "golden/case" {{
    vision  = "vit"
    norm    = "vit.mixins.cls.ln_vision"
    qformer = "qformer.transformer"
    proj    = "glm_proj"
  }}
}}
"""
    return compile_text(add_flow(text, flow_text(case, "pixel_values", RESULTS, first=FIRST)), {})


def _llm(case: Case) -> lmmdsl.Spec:
    """The spec's language model, with the spec's own sections about its tokens."""
    spec = (whole.FOLDER / "visualglm_6b.lmm").read_text(encoding="utf-8")
    start, end = spec.index("  positions {"), spec.index("  sees chat {")
    ids = ", ".join(f"<{name}> = {i}" for name, i in token_settings(case.config("layout")).items())
    settings = glm_settings(case.config("llm"), _length(case))
    text = f"""from std.llm.chatglm import ChatGlm, glm_positions

model Golden {{
  llm llm: ChatGlm({arguments(settings)})

  vocab {{ {ids} }}

  layout chat {{ {{question}} <gMASK> <bos> {{answer}} }}

{spec[start:end]}
  sees chat {{ before <bos> sees before <bos>; all sees all causally }}

  weights hf "golden/case" {{ llm = "" }}
  weights sat "golden/case" {{ llm = "" }}
}}
"""
    return compile_text(text, {})


def _model(case: Case) -> lmmdsl.Spec:
    demand(
        case.config("connector"),
        queries=case.config("layout")["image_tokens"],
        kv_width=case.config("vision")["width"],
        proj_out=case.config("llm")["width"],
    )
    settings = whole.settings_of(
        vision=vision_settings(case.config("vision")),
        qformer=query_settings(case.config("connector")),
        llm=glm_settings(case.config("llm"), _length(case)),
        vocab=token_settings(case.config("layout")) | {"image": PLACEHOLDER},
    )
    text = (whole.FOLDER / "visualglm_6b.lmm").read_text(encoding="utf-8")
    # The images of a case are prepared, and need not be squares.
    text = re.sub(r"\n  preprocess vision \{.*?\n  \}\n", "\n", text, flags=re.DOTALL)
    if images_of(case) is not None:
        text = add_flow(text, flow_text(case, "pixel_values", RESULTS, first=FIRST))
    return compile_text(text, settings)


def _length(case: Case) -> int:
    """A context that holds the case, which names none, and what the layouts always hold."""
    image = case.config("layout").get("image_tokens", 0)
    return max(int(case.inputs["input_ids"].shape[1]), image + 32)


_BUILDERS = {"connector": _connector, "llm": _llm, "model": _model}
