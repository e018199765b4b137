"""Ferret: its sampler of regions alone, and the whole spec.

Axes: I images, R regions, N points of a region, B batch, T tokens.
"""

from typing import Any

import numpy as np

import lmmdsl
from goldens_adapters.case import Case
from goldens_adapters.flows import FLOW, add_flow
from goldens_adapters.model import Outputs, Runner, compile_text
from goldens_adapters.words import arguments, demand

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
    width, points, depth = region["width"], region["init_points"], len(region["sub_points"])
    types = [f"point_features: [R, {points}, {width}]"]
    values, lines, before = ["seen"], [], "seen, drawn"
    for s, (n, k) in enumerate(zip(sizes["centers"], sizes["neighbors"], strict=True)):
        types += [f"stage_{s}: [R, {n}, {width}]", f"centers_{s}: [R, {n}, 2]"]
        types += [f"fps_index_{s}: int[R, {n}]", f"knn_index_{s}: int[R, {n}, {k}]"]
        names = f"f{s}, c{s}, p{s}, k{s}"
        lines.append(f"    {names} = sampler.stages[{s}]({before}, first[{s}])")
        values.append(names)
        before = f"f{s}, c{s}"
    types.append(f"region_features: [R, 1, {region['out_width']}]")
    values.append("sampler(patches, at, drawn, first)")
    steps = "\n".join(lines)
    flow = f"""
  flow {FLOW}(patches: [I, {grid * grid}, {width}], at: int[R], drawn: [R, {points}, 2], first: int[{depth}, R])
    -> ({", ".join(types)}) {{
    seen = look(patches, {grid}, at, drawn)
{steps}
    return {", ".join(values)}
  }}
"""
    text = f"""from std.connector.sampler import RegionSampler, look

model Golden {{
  sampler: RegionSampler({arguments(sizes)})

  weights hf "golden/case" {{ sampler = "" }}
}}
"""
    return compile_text(add_flow(text, flow), {})


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


_BUILDERS = {"sampler": _sampler}
_RUNS = {"sampler": _run_sampler}
