"""CLIP's vision tower alone: as LLaVA takes it, and as BLIP-2 wraps it."""

import numpy as np

import lmmdsl
from goldens_adapters.case import Array, Case
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, clip_settings, grid_settings

NAME = "clip"
PREFIXES = (
    '"vision_tower.vision_model" | "vision_tower" | "vision_model" | "model.vision_tower" | ""'
)


def accepts(case: Case) -> bool:
    """Whether a case is about this tower."""
    return case.part.startswith("encoder") and (
        case.system == "clip-l"
        or (case.system == "blip2" and bool(case.config("vision").get("pre_norm")))
    )


def build(case: Case) -> lmmdsl.Spec:
    """A model that is the tower, with one flow for everything the case asks."""
    return compile_text(_wrapped(case) if case.config("connector") else _plain(case), {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    return runner.flow("golden", {"image": case.inputs["image"].astype(np.float32)})


def selected(vision: dict[str, object]) -> str:
    """The features a LLaVA takes from `seen`, in the language: one hidden state, or several side by side."""
    drop = " |> drop_first" if vision.get("drop_class_token") else ""
    layers = vision.get("select_layer", -1)
    if isinstance(layers, list):
        return f"concat({', '.join(f'seen.hidden[{k}]{drop}' for k in layers)}, axis = 2)"
    return f"seen.hidden[{layers}]{drop}"


def _plain(case: Case) -> str:
    vision = case.config("vision")
    results = {
        "embeddings": "seen.hidden[0]",
        "block_0": "seen.hidden[1]",
        "last_hidden_state": "seen.hidden[-1]",
        "vision_features": selected(vision),
    }
    return _model(case, results, prefix=f"vision = {PREFIXES}", scheme="hf")


def _wrapped(case: Case) -> str:
    vision, norm = case.config("vision"), case.config("connector")
    results = {"block_0": "seen.hidden[1]", "encoder_raw": "seen.hidden[-1]"}
    results["vision_features"] = "norm(seen.hidden[-1])" + (
        " |> drop_first" if vision.get("drop_class_token") else ""
    )
    part = f"norm: LayerNorm({vision['width']}, {norm['vision_norm_eps']})"
    prefix = 'vision = "visual_encoder" | "", norm = "ln_vision"'
    return _model(case, results, prefix=prefix, scheme="openai", part=part)


def _model(case: Case, results: dict[str, str], *, prefix: str, scheme: str, part: str = "") -> str:
    vision = case.config("vision")
    settings = clip_settings(vision)
    settings |= grid_settings(case, align_corners=True) if part else grid_settings(case)
    settings |= {"final_norm": False} if part else {}
    wanted = {name: text for name, text in results.items() if name in case.outputs}
    types = ", ".join(f"{name}: {shape(case.outputs[name])}" for name in wanted)
    image = ", ".join(map(str, case.inputs["image"].shape[1:]))
    used = {"LayerNorm": "std.nn", "drop_first": "std.tokens"}
    body = " ".join([part, *wanted.values()])
    imports = "\n".join(f"from {file} import {name}" for name, file in used.items() if name in body)
    return f"""from std.vision.clip import ClipVit
{imports}

model Golden {{
  encoder vision: ClipVit({arguments(settings)})
  {part}

  flow golden(image: [B, {image}]) -> ({types}) {{
    seen = vision(image)
    return {", ".join(wanted.values())}
  }}

  weights {scheme} "golden/case" {{ {prefix} }}
}}
"""


def shape(value: Array) -> str:
    """Type of a result whose first axis is the batch."""
    return f"[B, {', '.join(map(str, value.shape[1:]))}]"
