"""The Q-Former alone: BLIP-2's first stage on given image features, and settings that other systems share.

The losses are worked out here from what the flows give, as the paper defines them.
Axes: B batch, N image tokens, T text tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters.case import Array, Case
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, demand, pick

NAME = "qformer"
SMOOTHING = 0.1


def accepts(case: Case) -> bool:
    """Whether a case is about the Q-Former alone."""
    return (
        case.system == "blip2"
        and case.part == "connector"
        and case.config("connector").get("kind") == "qformer"
    )


def qformer_settings(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `QFormer` for a `connector` section."""
    demand(
        connector,
        kind="qformer",
        norm="layernorm",
        norm_position="post",
        activation="gelu_erf",
        cross_attention_first=0,
        head_dim=connector["width"] // connector["heads"],
    )
    sizes = pick(
        connector,
        "queries",
        "width",
        "depth",
        "heads",
        "mlp_width",
        "vocab",
        "context",
        "norm_eps",
    )
    return sizes | {"cross_every": connector.get("cross_attention_every", 2)}


def build(case: Case) -> lmmdsl.Spec:
    """The Q-Former with the heads of the first stage, in the three modes."""
    connector, width = case.config("connector"), case.config("vision")["width"]
    settings = {"image_width": width} | qformer_settings(connector)
    queries, inner, shared = connector["queries"], connector["width"], connector["itc_width"]
    text = f"""from std.connector.qformer import QFormer
from std.nn import LayerNorm, Linear

block Temperature() {{
  value: param [] = ones

  forward(x: [*b]) -> [*b] {{
    return x / value
  }}
}}

model Golden {{
  norm: LayerNorm({width}, {connector["vision_norm_eps"]})
  qformer: QFormer({arguments(settings)})
  vision_proj: Linear({inner}, {shared})
  text_proj: Linear({inner}, {shared})
  itm_head: Linear({inner}, 2)
  temperature: Temperature()

  flow itc(image: [I, N, {width}], ids: int[B, T], keys: bool[B, T]) -> (
    image_embeds: [I, N, {width}], query_layer_1: [I, {queries}, {inner}], query_output: [I, {queries}, {inner}],
    text_output: [B, T, {inner}], image_feats: [I, {queries}, {shared}], text_feat: [B, {shared}], sim_i2t: [I, B]
  ) {{
    embeds = norm(image)
    seen = qformer(embeds)
    read = qformer.read(ids, keys)
    images = seen.hidden[-1] |> vision_proj |> normalize
    texts = read[:, 0] |> text_proj |> normalize
    near = max(images @ rearrange(texts, "b d -> d b"), axis = 1) |> temperature
    return embeds, seen.hidden[1], seen.hidden[-1], read, images, texts, near
  }}

  flow itm(image: [B, N, {width}], ids: int[B, T], keys: bool[B, T]) -> (
    itm_hidden: [B, {queries} + T, {inner}], itm_logits: [B, 2]
  ) {{
    hidden = qformer.match(norm(image), ids, keys)
    return hidden, hidden[:, :{queries}] |> itm_head |> mean(axis = 1)
  }}

  flow itg(image: [B, N, {width}], ids: int[B, T], keys: bool[B, T]) -> (
    itg_text_hidden: [B, T, {inner}], itg_logits: [B, T, {connector["vocab"]}]
  ) {{
    hidden = qformer.write(norm(image), ids, keys)[:, {queries}:]
    return hidden, qformer.logits(hidden)
  }}

  weights lavis "golden/case" {{
    norm = "ln_vision", qformer = "", temperature.value = "temp"
  }}
}}
"""
    return compile_text(text, {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case. Hidden states and logits are 0 at padding."""
    connector = case.config("connector")
    image = case.inputs["image_features"].astype(np.float32)
    ids = case.inputs["text_ids"].astype(np.int64)
    keys = case.inputs["text_mask"].astype(bool)
    inputs: Outputs = {"image": image, "ids": ids, "keys": keys}
    begun = ids.copy()
    begun[:, 0] = connector["decoder_start_id"]
    both = np.concatenate([np.ones((len(ids), connector["queries"]), bool), keys], axis=1)

    found = runner.flow("itc", inputs) | runner.flow("itm", inputs)
    found |= runner.flow("itg", inputs | {"ids": begun})
    found["sim_t2i"] = found["sim_i2t"].T
    found["loss_itc"] = (_contrast(found["sim_i2t"]) + _contrast(found["sim_t2i"])) / 2
    found["loss_lm"] = _next_word(found["itg_logits"], begun, connector["pad_id"])
    if "loss_itm" in case.outputs:
        found["loss_itm"] = _matching(runner, inputs, found["sim_i2t"])
    found["text_output"] = np.where(keys[..., None], found["text_output"], 0)
    found["itm_hidden"] = np.where(both[..., None], found["itm_hidden"], 0)
    for name in ("itg_text_hidden", "itg_logits"):
        found[name] = np.where(keys[..., None], found[name], 0)
    return found | {"itg_logits_one_pass": found["itg_logits"]}


def _contrast(scores: Array) -> Array:
    """Cross entropy of scores [B, B] whose right answers are on the diagonal."""
    return _cross_entropy(scores, np.arange(len(scores)), SMOOTHING)


def _next_word(logits: Array, ids: Array, pad: int) -> Array:
    """Cross entropy of logits [B, T, V] with the words that follow; padding does not count."""
    wanted = ids[:, 1:]
    counts = wanted != pad
    return _cross_entropy(logits[:, :-1][counts], wanted[counts], SMOOTHING)


def _matching(runner: Runner, inputs: Mapping[str, Array], near: Array) -> Array:
    """Matching loss of pairs, of other images, and of other texts.

    Training draws the others, the more often the nearer they are (`near`, images by texts); here they are the nearest.
    """
    batch = len(inputs["ids"])
    strange = np.where(np.eye(batch, dtype=bool), -np.inf, near)
    images, texts = strange.argmax(axis=0), strange.argmax(axis=1)
    triples = {
        "image": [inputs["image"], inputs["image"][images], inputs["image"]],
        "ids": [inputs["ids"], inputs["ids"], inputs["ids"][texts]],
        "keys": [inputs["keys"], inputs["keys"], inputs["keys"][texts]],
    }
    scores = runner.flow("itm", {name: np.concatenate(rows) for name, rows in triples.items()})
    return _cross_entropy(scores["itm_logits"], np.repeat([1, 0, 0], batch), 0.0)


def _cross_entropy(scores: Array, wanted: Array, smoothing: float) -> Array:
    """Mean cross entropy of scores [B, V] with labels [B], as torch smooths them."""
    scores = scores.astype(np.float64)
    top = scores.max(axis=1, keepdims=True)
    logs = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    right = logs[np.arange(len(wanted)), wanted]
    loss = -((1 - smoothing) * right + smoothing * logs.mean(axis=1)).mean()
    return np.asarray(loss, np.float32)
