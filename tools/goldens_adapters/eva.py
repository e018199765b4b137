"""EVA's vision tower alone, with the norm that BLIP-2 puts behind it."""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters.case import Case
from goldens_adapters.clip import shape
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import activation, arguments, demand, grid_settings, pick, sides

NAME = "eva"
RESULTS = {
    "embeddings": "seen.hidden[0]",
    "block_0": "seen.hidden[1]",
    "encoder_raw": "seen.hidden[-1]",
    "vision_features": "norm(seen.hidden[-1])",
}


def accepts(case: Case) -> bool:
    """Whether a case is about this tower."""
    return case.part.startswith("encoder") and case.system == "eva-clip-g"


def tower_settings(case: Case) -> dict[str, Any]:
    """Arguments of `EvaVit` for the images of a case."""
    return eva_settings(case.config("vision")) | grid_settings(case)


def eva_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `EvaVit` for a `vision` section."""
    demand(
        vision,
        norm="layernorm",
        norm_position="pre",
        patch_bias=True,
        class_token=True,
        position="learned",
        pre_norm=False,
        final_norm=False,
        q_bias=True,
        v_bias=True,
        head_dim=vision["width"] // vision["heads"],
    )
    sizes = pick(
        vision,
        "patch_size",
        "channels",
        "width",
        "depth",
        "heads",
        "mlp_width",
        "norm_eps",
    )
    act = {"act": activation(vision), "key_biased": bool(vision.get("k_bias"))}
    return sides(vision) | sizes | act


def build(case: Case) -> lmmdsl.Spec:
    """A model that is the tower and its norm, with one flow for everything the case asks."""
    vision, norm = case.config("vision"), case.config("connector")
    drop = " |> drop_first" if vision.get("drop_class_token") else ""
    results = RESULTS | {"vision_features": RESULTS["vision_features"] + drop}
    wanted = {name: text for name, text in results.items() if name in case.outputs}
    types = ", ".join(f"{name}: {shape(case.outputs[name])}" for name in wanted)
    image = ", ".join(map(str, case.inputs["image"].shape[1:]))
    text = f"""from std.nn         import LayerNorm
from std.vision.eva import EvaVit
{"from std.tokens import drop_first" if drop else ""}

model Golden {{
  encoder vision: EvaVit({arguments(tower_settings(case))})
  norm: LayerNorm({vision["width"]}, {norm["vision_norm_eps"]})

  flow golden(image: [B, {image}]) -> ({types}) {{
    seen = vision(image)
    return {", ".join(wanted.values())}
  }}

  weights lavis "golden/case" {{ vision = "visual_encoder" | "", norm = "ln_vision" }}
}}
"""
    return compile_text(text, {})


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    return runner.flow("golden", {"image": case.inputs["image"].astype(np.float32)})
