"""Flamingo's parts: NFNet, the Perceiver Resampler and gated cross attention, each alone.

Axes: B batch, M images of a row, T tokens.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters.case import Array, BadCase, Case
from goldens_adapters.flows import FLOW, flow_text, shown
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, pick

NAME = "flamingo"
RENAMED = {"hidden": "states"}  # an output has this name, too
SQUARED = "from std.connector.perceiver import squared_relu"


def accepts(case: Case) -> bool:
    """Whether a case is about a part of Flamingo."""
    return case.system == "flamingo" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The part of the case as a model."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    inputs = {RENAMED.get(name, name): x.astype(np.float32) for name, x in case.inputs.items()}
    if "media_locations" in inputs:
        del inputs["media_locations"]
        inputs |= seen_images(case)
    return runner.flow(FLOW, inputs)


def seen_images(case: Case) -> dict[str, Array]:
    """Which images each token sees, bool [B, T, B * M], and whether there is one before it, bool [B, T].

    An image is seen from its own place on, up to the next one's or, unless `immediate_only`, for good; text before
    the first one then sees all. Images of all rows stand in one line.
    """
    count = np.cumsum(case.inputs["media_locations"].astype(bool), axis=1)[..., None]
    rows, images = len(count), _images(case)
    place = np.arange(rows * images) % images + 1  # of each image in its row
    own = np.arange(rows * images) // images == np.arange(rows)[:, None, None]
    if case.config("xattn").get("immediate_only", True):
        require_images(count, images)
        return {"sees": own & (place == count)}
    return {"sees": own & ((place <= count) | (count == 0)), "asks": count[..., 0] > 0}


def require_images(places: Array, images: int) -> None:
    """Refuse texts with more places than a row has images: the reference means over all of them there."""
    if places.max(initial=0) > images:
        raise BadCase(f"a text has places for {places.max()} images, but its row has {images}")


def nfnet_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `NfNet` for a `vision` section."""
    demand(
        vision,
        type="nfnet",
        stem_strides=[2, 1, 1, 2],
        stage_strides=[1, 2, 2, 2],
        skip_init=True,
        padding="same",
        width=vision["final_width"],
        groups=[width // vision["group_width"] for width in vision["bottleneck_widths"]],
    )
    names = {
        "channels": "in_channels",
        "depths": "stage_depths",
        "widths": "stage_widths",
        "bottlenecks": "bottleneck_widths",
        "se_widths": "se_widths",
        "width": "final_width",
        "group_width": "group_width",
        "stem_widths": "stem_widths",
        "act_gain": "activation_gain",
        "se_gain": "se_gain",
        "alpha": "residual_alpha",
        "eps": "std_conv_eps",
    }
    act = {"act": activation(vision)}
    return (
        image_sides(vision)
        | act
        | {ours: vision[key] for ours, key in names.items() if key in vision}
    )


def image_sides(vision: dict[str, Any]) -> dict[str, int]:
    """Height and width of the images."""
    size = vision["image_size"]
    height, width = size if isinstance(size, list) else (size, size)
    return {"image_size": height, "image_width": width}


def resampler_settings(connector: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `PerceiverResampler` for a `connector` section."""
    demand(connector, type="perceiver_resampler", bias=False, kv_includes_queries=True)
    sizes = ("width", "depth", "heads", "head_dim", "mlp_width", "queries", "norm_eps")
    found = pick(connector, *sizes, "max_frames", "max_media")
    return found | {"act": activation(connector)}


def gated_settings(xattn: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `GatedXAttnDense` for an `xattn` section."""
    demand(xattn, type="gated_cross_attention_dense", bias=False, gate="tanh_scalar")
    found = pick(xattn, "width", "heads", "head_dim", "mlp_width", "norm_eps")
    found |= {"source": xattn["width_visual"], "act": activation(xattn)}
    return found | {"zeroed": xattn.get("immediate_only", True)}


def _encoder(case: Case) -> lmmdsl.Spec:
    results = {"stem": "seen.stem", "final_conv": "seen.last", "feature_map": "seen.map"}
    results |= {f"stage{k}": f"seen.stage{k}" for k in range(1, 5)}
    text = f"""from std.vision.nfnet import NfNet

model Golden {{
  encoder vision: NfNet({arguments(nfnet_settings(case.config("vision")))})
{flow_text(case, "image", results | {"vision_features": "seen"}, first="seen = vision(image)")}
  weights timm "golden/case" {{ vision = "" }}
}}
"""
    return compile_text(text, {})


def _connector(case: Case) -> lmmdsl.Spec:
    settings = resampler_settings(case.config("connector"))
    images = case.inputs["vision_features"].shape[1]
    first = """seen = resampler.place(vision_features)
    first = resampler.layers[0].attn(resampler.start(seen), seen)"""
    results = {"attn0": by_row("first", images), "connector_tokens": by_row("found", images)}
    if "attn0" not in shown(case, results):
        first = "seen = resampler.place(vision_features)"
    first += "\n    found = resampler.read(seen)"
    text = f"""{_imports(settings)}
from std.connector.perceiver import PerceiverResampler

model Golden {{
  connector resampler: PerceiverResampler({arguments(settings)})
{flow_text(case, "vision_features", results, first=first)}
  weights open "golden/case" {{ resampler = "" }}
}}
"""
    return compile_text(text, {})


def _xattn(case: Case) -> lmmdsl.Spec:
    settings = gated_settings(case.config("xattn"))
    given = "states, media, sees" + _asks(case)
    results = {"attn": f"gated.attn({given})", "hidden": f"gated({given})"}
    flow = _gated_flow(case, "media", 'media = rearrange(media, "b m n w -> (b m) n w")', results)
    text = f"""{_imports(settings)}
from std.gated import GatedXAttnDense

model Golden {{
  part gated: GatedXAttnDense({arguments(settings)})
{flow}
  weights open "golden/case" {{ gated = "" }}
}}
"""
    return compile_text(text, {})


def _sqrelu(case: Case) -> lmmdsl.Spec:
    reads = resampler_settings(case.config("connector")) | {"frame_axis": True}
    settings = gated_settings(case.config("xattn"))
    images = case.inputs["vision_features"].shape[1]
    results = {
        "connector_tokens": by_row("media", images),
        "hidden": f"gated(states, media, sees{_asks(case)})",
    }
    first = "media = resampler.videos(vision_features)"
    text = f"""{_imports(reads | settings)}
from std.connector.perceiver import PerceiverResampler
from std.gated import GatedXAttnDense

model Golden {{
  connector resampler: PerceiverResampler({arguments(reads)})
  part gated: GatedXAttnDense({arguments(settings)})
{_gated_flow(case, "vision_features", first, results)}
  weights mini "golden/case" {{ resampler = "resampler", gated = "xattn_block" }}
}}
"""
    return compile_text(text, {})


def _asks(case: Case) -> str:
    return "" if case.config("xattn").get("immediate_only", True) else ", asks"


def _gated_flow(case: Case, source: str, first: str, results: dict[str, str]) -> str:
    """A flow to `results` from text, from `source` and from what the tokens see."""
    tokens, images = case.inputs["hidden"].shape[1], _images(case)
    kinds = {name: _kind(case.inputs[name]) for name in (source, "hidden")}
    kinds["sees"] = f"bool[B, {tokens}, {images} * B]"
    if _asks(case):
        kinds["asks"] = f"bool[B, {tokens}]"
    inputs = ", ".join(f"{RENAMED.get(name, name)}: {kind}" for name, kind in kinds.items())
    wanted = shown(case, results)
    types = ", ".join(f"{name}: {_kind(case.outputs[name])}" for name in wanted)
    return f"""
  flow {FLOW}({inputs}) -> ({types}) {{
    {first}
    return {", ".join(wanted.values())}
  }}
"""


def by_row(name: str, images: int) -> str:
    """Rows of images of a value with all images in one line."""
    return f'rearrange({name}, "(b m) q w -> b m q w", m = {images})'


def _images(case: Case) -> int:
    """Images of each row."""
    found = case.inputs["media" if "media" in case.inputs else "vision_features"]
    return int(found.shape[1])


def _imports(settings: dict[str, Any]) -> str:
    return SQUARED if settings["act"] == "squared_relu" else ""


def _kind(value: Array) -> str:
    return f"[B, {', '.join(map(str, value.shape[1:]))}]"


_BUILDERS = {
    "encoder": _encoder,
    "connector": _connector,
    "xattn": _xattn,
    "sqrelu": _sqrelu,
}
