"""Write an ONNX package: graphs, weights, runtime facts and a small driver.

Takes a checked program and, where weights are given, what their headers say; fills a folder. The caller
moves the folder into place as a whole (`home` is where it will stand), so a failed run leaves nothing.
Without weights the graphs point into a data file that does not exist yet.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onnx import ModelProto

from lmmdsl.backends.onnx.component import (
    Component,
    arrange_component,
    decoder_components,
    embed_component,
    flow_component,
    reader_component,
    vision_component,
    without_keep,
)
from lmmdsl.backends.onnx.frame import Options
from lmmdsl.backends.onnx.package import (
    DECODER,
    GENAI_DECODER,
    genai_config,
    layout_facts,
    package_facts,
)
from lmmdsl.backends.onnx.protos import (
    FLOATS,
    add_notes,
    make_external,
    make_node,
    make_tensor,
    make_value,
)
from lmmdsl.backends.onnx.stream import write_data
from lmmdsl.backends.onnx.weights import Plan, find_stored, plan_copy, plan_in_place
from lmmdsl.graph.ir import Definition, Param
from lmmdsl.graph.program import Program
from lmmdsl.passes.count import goes_on
from lmmdsl.passes.keep import STEP
from lmmdsl.types.tensor import DType, TensorType
from lmmdsl.weights.coverage import Load

PARTS = {
    "encode": vision_component,
    "embed": embed_component,
    "read": reader_component,
    "arrange": arrange_component,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: file names, graphs by name, bytes of weights copied and referred to."""

    files: tuple[str, ...]
    components: tuple[Component, ...]
    copied: int
    referred: int


def export(
    program: Program,
    folder: Path,
    *,
    home: Path | None = None,
    loads: Sequence[Load] | None = None,
    profile: str = "std",
    dtype: str = "float32",
    components: Collection[str] | None = None,
) -> Exported:
    """Fill a folder with the ONNX package of a program.

    Args:
        program: the checked program.
        folder: an existing folder to write into.
        home: the folder where the package will stand; weights that already lie there are used in place.
        loads: which tensor holds each parameter, as `weights.coverage.cover` gives it; None leaves the
            weights to a later run.
        profile: `std`, `ort` or `base`.
        dtype: `float32` or `float16`.
        components: names of the graphs to write; None writes all.

    Raises:
        OnnxError: something in the program or in the weights has no form in ONNX.
        OSError: a file cannot be read or written.
    """
    options = Options(
        profile=profile, floats=FLOATS[dtype], cached=True, domain=f"lmmdsl.{program.name}"
    )
    parts = [
        part
        for part in build_components(program.root, options)
        if components is None or part.name in components
    ]
    params = {path: param for part in parts for path, param in part.params.items()}
    plan = _plan(params, loads, home or folder, element=options.floats)
    for part in parts:
        _describe(part.model, program, profile, dtype)
        place_weights(part, plan, element=options.floats)
        _write_model(folder, part.name, part.model)
    write_data(folder, plan)
    weights = sorted({place.location for place in plan.placements.values()})
    facts = package_facts(program, parts, profile=profile, dtype=dtype, weights=weights)
    _write_facts(program, folder, parts, facts)
    files = tuple(sorted(path.name for path in folder.iterdir()))
    copied = sum(plan.placements[job.path].length for job in plan.jobs)
    total = sum(place.length for place in plan.placements.values())
    return Exported(files, tuple(parts), copied, total - copied)


def build_components(root: Definition, options: Options) -> list[Component]:
    """All graphs of a model.

    A model with `decode` and `logits` gives the parts of an image-and-text pipeline; every other
    method is a graph by itself, with a cache if it goes on step by step.
    """
    if not {STEP, "logits"} <= root.methods.keys():
        return [_flow(root, method, options) for method in root.methods]
    others = [method for method in root.methods if method not in (STEP, "logits")]
    parts = [
        PARTS[method](root, options) if method in PARTS else _flow(root, method, options)
        for method in others
    ]
    return [*parts, *decoder_components(root, options)]


def _flow(root: Definition, method: str, options: Options) -> Component:
    return flow_component(root, method, replace(options, cached=goes_on(root, method)))


def build_model(
    definition: Definition,
    method: str = "forward",
    *,
    profile: str = "std",
    dtype: str = "float32",
    arrays: Mapping[str, Any] | None = None,
    ranks: Mapping[str, int] | None = None,
    flat: bool = False,
    cached: bool = False,
) -> ModelProto:
    """A self-contained model of one method, with its weights inside.

    Args:
        definition: any definition.
        method: which of its methods.
        profile: `std`, `ort` or `base`.
        dtype: `float32` or `float16`.
        arrays: weights by path; what is not given becomes a graph input of that name.
        ranks: how many axes each open `*b` of the method has.
        flat: inline all functions.
        cached: thread the key/value cache.
    """
    options = Options(profile=profile, floats=FLOATS[dtype], flat=flat, cached=cached)
    part = flow_component(definition, method, options, ranks)
    embed_weights(part, arrays or {}, element=options.floats)
    return part.model


def embed_weights(part: Component, arrays: Mapping[str, Any], *, element: int) -> None:
    """Put weights inside a graph; parameters without one become inputs."""
    graph = part.model.graph
    for path, param in part.params.items():
        if path in arrays:
            graph.initializer.append(make_tensor(path, arrays[path], element))
        else:
            kind = TensorType(DType.FLOAT, param.shape)
            graph.input.append(make_value(path, kind, element))


def _plan(
    params: Mapping[str, Param], loads: Sequence[Load] | None, home: Path, *, element: int
) -> Plan:
    if loads is None:
        return plan_copy(params, None, element=element)
    stored = {load.path: find_stored(load) for load in loads if load.path in params}
    return plan_in_place(params, stored, home, element=element)


def place_weights(part: Component, plan: Plan, *, element: int) -> None:
    """Point the initialisers of a graph at their bytes; other element kinds are cast on loading."""
    graph = part.model.graph
    casts = []
    for path, param in part.params.items():
        place = plan.placements[path]
        name = path if place.element == element else f"stored/{path}"
        graph.initializer.append(
            make_external(
                name,
                place.element,
                [size.value for size in param.shape],
                location=place.location,
                offset=place.offset,
                length=place.length,
            )
        )
        if name != path:
            casts.append(
                make_node(
                    "Cast",
                    (name,),
                    (path,),
                    name=f"/{name}",
                    domain="",
                    attributes={"to": element},
                    notes={},
                )
            )
    if casts:
        nodes = [*casts, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)


def _write_model(folder: Path, name: str, model: ModelProto) -> None:
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def _describe(model: ModelProto, program: Program, profile: str, dtype: str) -> None:
    model.doc_string = program.doc
    notes = {
        "lmmdsl.model": program.name,
        "lmmdsl.variant": program.variant or "",
        "lmmdsl.spec_hash": program.spec_hash,
        "lmmdsl.profile": profile,
        "lmmdsl.dtype": dtype,
        "lmmdsl.layout": json.dumps(layout_facts(program.layouts)),
        "lmmdsl.tokens": json.dumps(dict(program.vocab.tokens)),
        "source": program.source,
    }
    add_notes(model.metadata_props, {key: value for key, value in notes.items() if value})


def _write_facts(
    program: Program, folder: Path, parts: Sequence[Component], facts: Mapping[str, Any]
) -> None:
    texts = {"lmmdsl_package.json": json.dumps(facts, indent=1) + "\n"}
    if facts["cache"]:
        texts["run.py"] = Path(__file__).with_name("run.py").read_text(encoding="utf-8")
    genai = genai_config(program, parts)
    if genai:
        decoder = without_keep(next(part.model for part in parts if part.name == DECODER))
        _write_model(folder, GENAI_DECODER, decoder)
        texts["genai_config.json"] = json.dumps(genai, indent=1) + "\n"
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
