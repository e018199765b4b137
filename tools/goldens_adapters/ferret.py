"""Ferret: its sampler of regions alone, and the whole spec.

Axes: I images, R regions, N points of a region, B batch, T tokens.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters import whole
from goldens_adapters.case import Case
from goldens_adapters.flows import FLOW, add_flow
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, clip_settings, demand, llama_settings

NAME = "ferret"


def accepts(case: Case) -> bool:
    """Whether a case is about Ferret or its sampler."""
    return case.system == "ferret" and case.part in _BUILDERS


def build(case: Case) -> lmmdsl.Spec:
    """The sampler as a model, or the spec with the sizes of the case."""
    return _BUILDERS[case.part](case)


def run(case: Case, runner: Runner) -> Outputs:
    """All outputs of a case."""
    return _RUNS[case.part](case, runner)


def sampler_settings(region: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `RegionSampler` for a `region` section."""
    demand(
        region, kind="ferret_geo_region_sampler", activation="relu", norm="layernorm", norm_eps=1e-5
    )
    return {
        "points": region["init_points"],
        "centers": list(region["sub_points"]),
        "neighbors": list(region["neighbors"]),
        "depth": len(region["sub_points"]),
        "pool": region["pooler"],
    }


def _sampler(case: Case) -> lmmdsl.Spec:
    connector = case.config("connector")
    region, grid = connector["region"], connector["grid"]
    sizes = {"width": region["width"], "out": region["out_width"], "grid": grid}
    sizes |= sampler_settings(region)
    flow = _stages(FLOW, sizes)
    text = f"""from std.connector.sampler import RegionSampler, look

model Golden {{
  sampler: RegionSampler({arguments(sizes)})

  weights hf "golden/case" {{ sampler = "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


def _stages(name: str, sizes: dict[str, Any]) -> str:
    """A flow that shows what every stage of the part `sampler` gives."""
    width, points, depth, grid = (sizes[key] for key in ("width", "points", "depth", "grid"))
    types = [f"point_features: [R, {points}, {width}]"]
    values, lines, before = ["seen"], [], "seen, drawn"
    for s, (n, k) in enumerate(zip(sizes["centers"], sizes["neighbors"], strict=True)):
        types += [f"stage_{s}: [R, {n}, {width}]", f"centers_{s}: [R, {n}, 2]"]
        types += [f"fps_index_{s}: int[R, {n}]", f"knn_index_{s}: int[R, {n}, {k}]"]
        names = f"f{s}, c{s}, p{s}, k{s}"
        lines.append(f"    {names} = sampler.stages[{s}]({before}, first[{s}])")
        values.append(names)
        before = f"f{s}, c{s}"
    types.append(f"region_features: [R, 1, {sizes['out']}]")
    values.append("sampler(patches, at, drawn, first)")
    steps = "\n".join(lines)
    return f"""
  flow {name}(patches: [I, {grid * grid}, {width}], at: int[R], drawn: [R, {points}, 2], first: int[{depth}, R])
    -> ({", ".join(types)}) {{
    seen = look(patches, {grid}, at, drawn)
{steps}
    return {", ".join(values)}
  }}
"""


def _draws(case: Case) -> dict[str, Any]:
    return {
        "at": case.inputs["region_image"].astype(np.int64),
        "drawn": case.inputs["points"].astype(np.float32),
        "first": case.inputs["fps_start"].astype(np.int64),
    }


def _run_sampler(case: Case, runner: Runner) -> Outputs:
    patches = case.inputs["feature_map"].astype(np.float32)
    found = runner.flow(FLOW, {"patches": patches, **_draws(case)})
    return _agreeing(case, found) | {"region_features": found["region_features"][:, 0]}


def _agreeing(case: Case, found: Outputs) -> Outputs:
    """Places of points as the reference has them, where they differ by points that are the same."""
    points, agreed = case.inputs["points"], dict(found)
    for s in range(len(case.inputs["fps_start"])):
        same = (
            (points[:, :, None] == points[:, None]).all(-1).argmax(-1)
        )  # [R, N], first such point
        for name in (f"fps_index_{s}", f"knn_index_{s}"):
            if name in case.outputs and _first(same, found[name]) == _first(
                same, case.outputs[name]
            ):
                agreed[name] = case.outputs[name]
        points = found[f"centers_{s}"]
    return agreed


def _first(same: Any, places: Any) -> list[list[int]]:
    """Places of every region with doubles told as one, the neighbors of a centre in any order."""
    flat = places.reshape(len(places), -1)
    told = np.take_along_axis(same, flat, axis=1).reshape(places.shape)
    return (np.sort(told, axis=-1) if places.ndim == 3 else told).tolist()


def _model(case: Case) -> lmmdsl.Spec:
    vision, connector, llm = (case.config(name) for name in ("vision", "connector", "llm"))
    region, layout = connector["region"], case.config("layout")
    demand(vision, select_layer=-2, attn_bias=True, mlp_bias=True)
    demand(connector["image"], kind="linear", bias=True)
    demand(llm, attn_bias=False, mlp_bias=False)
    tower = vision | {"norm_position": "pre", "position": "learned"}
    settings = whole.settings_of(
        vision=clip_settings(tower),
        sampler=sampler_settings(region),
        llm=llama_settings(llm),
    )
    settings |= {
        "vocab.image": layout["image_token"],
        "vocab.region_fea": layout["region_token"],
        "vocab.bos": layout["bos_id"],
        "vocab.eos": layout.get("eos_id", 2),
    }
    text = (whole.FOLDER / "ferret.lmm").read_text(encoding="utf-8")
    text = text.replace("import RegionSampler", "import RegionSampler, look", 1)
    side, patch = vision["image_size"], vision["patch_size"]
    count, width = (side // patch) ** 2, vision["width"]
    flow = f"""
  flow {FLOW}(pixels: [I, {vision["channels"]}, {side}, {side}]) -> (vision_features: [I, {count}, {width}]) {{
    return drop_first(vision(pixels).hidden[-2])
  }}
"""
    sizes = {"width": width, "out": llm["width"], "grid": side // patch, **sampler_settings(region)}
    return compile_text(add_flow(add_flow(text, flow), _stages("places", sizes)), settings)


def _run_model(case: Case, runner: Runner) -> Outputs:
    pixels = case.inputs["pixel_values"].astype(np.float32)
    ids = case.inputs["expanded_ids"].astype(np.int64)
    mask = case.inputs["expanded_mask"].astype(bool)
    tokens = runner.encode(pixels, {})["result"]
    outputs = runner.flow(FLOW, {"pixels": pixels}) | {"connector_tokens": tokens}
    rows = {}
    if len(case.inputs.get("points", ())):
        rows = {
            "regions": runner.flow("encode_regions", {"pixel_values": pixels, **_draws(case)})[
                "result"
            ]
        }
        outputs |= _agreeing(case, _places(case, runner, outputs["vision_features"]))
        outputs["region_features"] = rows["regions"][:, 0]
    embeds = runner.embed(ids, tokens, rows)
    outputs["inputs_embeds"] = embeds
    return outputs | runner.decode(embeds, mask, {"final_hidden": "llm"})


def _places(case: Case, runner: Runner, patches: Any) -> Outputs:
    """Which points were chosen and seen."""
    return runner.flow("places", {"patches": patches, **_draws(case)})


_BUILDERS = {"sampler": _sampler, "model": _model}
_RUNS = {"sampler": _run_sampler, "model": _run_model}
