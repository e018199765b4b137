"""Fuyu, and Persimmon alone.

Axes: I images, B batch, T tokens, P patches of all images.
"""

import re
from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Array, Case
from goldens_adapters.flows import mask_of
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, demand, pick

NAME = "fuyu"
HEAD = re.compile(r'(llm\.embedding = [^\n]*)((?:\n[^\n]*)*?)\n *llm\.head +=( "[^"]*")')
_NAMES = """
    llm.embedding = "model.language_model.embed_tokens" | "model.embed_tokens"
    llm.layers    = "model.language_model.layers" | "model.layers"
    llm.norm      = "model.language_model.final_layernorm" | "model.final_layernorm"
    llm.head      = "lm_head"
"""


def accepts(case: Case) -> bool:
    """Whether a case is about Fuyu or its language model."""
    return (case.system, case.part) in (("persimmon", "llm"), ("fuyu", "model"), ("fuyu", "llm"))


def llm_settings(case: Case) -> dict[str, Any]:
    """Arguments of `Persimmon` for the case."""
    llm = case.config("llm")
    demand(
        llm,
        arch="persimmon",
        activation="relu_squared",
        norm="layernorm_pre",
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        final_norm="layernorm",
        kv_heads=llm["heads"],
    )
    sizes = pick(
        llm, "width", "depth", "heads", "head_dim", "mlp_width", "vocab", "norm_eps", "rope_theta"
    )
    rotated = int(llm["head_dim"] * llm["rope_fraction"])
    length = case.inputs["input_ids"].shape[1]
    sizes |= {"rotated": rotated, "tied": bool(llm.get("tie_embeddings"))}
    return sizes | {"context": max(length, llm.get("context", 0), 256)}


def build(case: Case) -> lmmdsl.Spec:
    """The language model alone, or the spec with the sizes of the case."""
    if case.part == "llm":
        text = f"""from std.llm.persimmon import Persimmon

model Golden {{
  llm llm: Persimmon({arguments(llm_settings(case))})

  weights hf "golden/case" {{{_NAMES}  }}
}}
"""
        return compile_text(_names_of(case, text), {})
    connector, layout = case.config("connector"), case.config("layout")
    demand(connector, kind="linear_patches", bias=True, out=case.config("llm")["width"])
    settings = whole.settings_of(
        vision={"patch_size": connector["patch_size"], "channels": connector["channels"]},
        llm=llm_settings(case),
    )
    ids = {
        "speaker": "image_token_id",
        "newline": "newline_token_id",
        "bos": "bos_id",
        "pad": "pad_id",
    }
    settings |= {f"vocab.{name}": layout[key] for name, key in ids.items() if key in layout}
    others = ("end", "answer", "box", "/box", "point", "/point")  # they stand in the case's ids
    free = [i for i in range(case.config("llm")["vocab"]) if i not in settings.values()]
    settings |= {f"vocab.{name.strip('/')}": free[0] for name in others}
    text = (whole.FOLDER / "fuyu_8b.lmm").read_text(encoding="utf-8")
    return compile_text(_names_of(case, text), settings)


def _names_of(case: Case, text: str) -> str:
    """The spec whose maps name the one table of a tied model twice, where another has a head."""
    if not case.config("llm").get("tie_embeddings"):
        return text
    return HEAD.sub(r"\1 |\3\2", text)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    ids, mask = case.inputs["input_ids"].astype(np.int64), mask_of(case)
    patches = _patches(case, runner)
    embeds = runner.embed(ids, None if patches is None else patches[None, None])
    taps = {f"hidden_after_layer{k}": f"llm.layers.{k}" for k in range(case.config("llm")["depth"])}
    outputs = {"inputs_embeds": embeds}
    outputs |= runner.decode(embeds, mask, taps | {"final_hidden": "llm"})
    return outputs if patches is None else outputs | {"connector_tokens": patches}


def _patches(case: Case, runner: Runner) -> Array | None:
    """Projected patches of all images, which may differ in size: [P, D]."""
    names = sorted(name for name in case.inputs if name.startswith("image_"))
    names.sort(key=lambda name: int(name.rpartition("_")[2]))
    images = [case.inputs[name].astype(np.float32) for name in names]
    if not images and len(case.inputs.get("pixel_values", ())):
        images = [_pictures(case)]
    if not images:
        return None
    tokens = [runner.encode(image, {})["result"] for image in images]
    return np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in tokens])


def _pictures(case: Case) -> Array:
    """The patches of a case as pictures of one patch each: [P, C, H, W]."""
    connector, patches = case.config("connector"), case.inputs["pixel_values"].astype(np.float32)
    side, channels = connector["patch_size"], connector["channels"]
    return patches.reshape(-1, side, side, channels).transpose(0, 3, 1, 2)
