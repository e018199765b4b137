"""From the words of a case's `config` to the words of the language."""

import math
from collections.abc import Mapping
from typing import Any

from goldens_adapters.case import BadCase, Case

SIDES = ("image_size", "image_width")
ROOM = 4096  # rotary positions have no end, and layouts may need more tokens than a case's context
ACTIVATIONS = {
    "quick_gelu": "quick_gelu",
    "gelu_erf": "gelu",
    "gelu_tanh": "gelu_tanh",
    "silu_gated": "silu",
    "silu": "silu",
    "relu": "relu",
    "squared_relu": "squared_relu",
}
# The ends of what vision towers call their table of positions.
TABLES = (
    "pos_embed",
    ".positional_embedding",
    "embeddings.position_embedding",
    "embeddings.position_embedding.weight",
)


def activation(config: Mapping[str, Any]) -> str:
    """The activation's name in the language."""
    word = config["activation"]
    if word not in ACTIVATIONS:
        raise BadCase(f"unknown activation `{word}`")
    return ACTIVATIONS[word]


def demand(config: Mapping[str, Any], **wanted: object) -> None:
    """Refuse a case with a setting that the adapter does not know to express."""
    for key, value in wanted.items():
        if config.get(key, value) != value:
            raise BadCase(f"this adapter takes {key} = {value!r}, not {config[key]!r}")


def pick(config: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The settings of these names that the case has."""
    return {name: config[name] for name in names if config.get(name) is not None}


def arguments(settings: Mapping[str, Any]) -> str:
    """Settings as arguments of a block."""
    return ", ".join(f"{name} = {write(value)}" for name, value in settings.items())


def write(value: object) -> str:
    """A value in the language."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(write, value))}]"
    return str(value)


def sides(vision: Mapping[str, Any]) -> dict[str, int]:
    """Height and width of the images of a `vision` section, which may give one number for both."""
    size = vision["image_size"]
    return {"image_size": size} if isinstance(size, int) else dict(zip(SIDES, size, strict=True))


def grid_settings(case: Case, **more: object) -> dict[str, Any]:
    """Arguments of a vision tower for the size of its images, and for positions of a grid that is not theirs.

    Args:
        case: its images may be larger than its `image_size`, or its positions be left as they were learned.
        more: arguments that the tower takes beside `table_side`, for positions that are resized.
    """
    vision, images = case.config("vision"), case.inputs.get("image")
    found: dict[str, Any] = sides(vision)
    if images is not None:
        found = {name: int(side) for name, side in zip(SIDES, images.shape[-2:], strict=True)}
    columns = found.get("image_width", found["image_size"]) // vision["patch_size"]
    rows = found["image_size"] // vision["patch_size"]
    if any(side % vision["patch_size"] for side in found.values()):
        found["rest"] = True
    tables = [name for name in case.weights_names() if name.endswith(TABLES)]
    learned = case.weights_shape(tables[0])[-2] - 1 if tables else 0
    side = math.isqrt(learned)
    if side * side != learned or learned == rows * columns:
        return found
    return found | {"table_side": side} | more


def has_rest(vision: Mapping[str, Any]) -> bool:
    """Whether patches leave a rest of a square image."""
    return bool(vision["image_size"] % vision["patch_size"])


def clip_settings(vision: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `ClipVit` for a `vision` section."""
    demand(
        vision,
        norm="layernorm",
        norm_position="pre",
        patch_bias=False,
        class_token=True,
        position="learned",
        pre_norm=True,
        head_dim=vision["width"] // vision["heads"],
    )
    sizes = pick(
        vision,
        "image_size",
        "patch_size",
        "channels",
        "width",
        "depth",
        "heads",
        "mlp_width",
        "norm_eps",
    )
    return sizes | {"act": activation(vision)}


def llama_settings(llm: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Llama` for an `llm` section."""
    demand(
        llm,
        norm="rmsnorm",
        norm_position="pre",
        final_norm=True,
        position="rope",
        rope_layout="half_split",
        rope_fraction=1.0,
        rope_scaling=None,
        biases=False,
        causal=True,
        activation="silu_gated",
    )
    sizes = pick(
        llm,
        "width",
        "depth",
        "heads",
        "kv_heads",
        "head_dim",
        "mlp_width",
        "vocab",
        "norm_eps",
        "rope_theta",
    )
    tied = llm.get("lm_head_tied", llm.get("tied_embeddings", False))
    return sizes | {"tied": bool(tied), "context": max(llm.get("context", 0), ROOM)}
