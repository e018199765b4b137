"""The shape of every value of every component, with the line that makes it.

Stacks are folded: the layers of one definition are shown once, with their count. Sizes inside a part are given in
the symbols of the component that calls it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from lmmdsl.backends.report.facts import title
from lmmdsl.backends.report.table import Table
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Node,
    Once,
    Param,
    Payload,
    Read,
    Repeat,
    Route,
    Size,
    Value,
)
from lmmdsl.graph.program import Program
from lmmdsl.sema.unify import Matched, match_arguments
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Step:
    """One value.

    Attributes:
        depth: how many calls deep; 0 in the component itself.
        name: as the source calls it, or "".
        what: what makes it: `input`, an operation, `part: Block`, `23 x part: Block`.
        shape: its type.
        line: `file:line` of the expression.
    """

    depth: int
    name: str
    what: str
    shape: str
    line: str


@dataclass(frozen=True, slots=True)
class Component:
    """The values of one component, in the order in which they are made."""

    name: str
    doc: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Report `trace`."""

    model: str
    components: tuple[Component, ...]

    def tables(self) -> tuple[Table, ...]:
        """The report as one table per component."""
        return tuple(self._table(component) for component in self.components)

    def _table(self, component: Component) -> Table:
        rows = tuple(
            (f"{'  ' * step.depth}{step.what}", step.name, step.shape, step.line)
            for step in component.steps
        )
        heading = f"{self.model}: {component.name}"
        return Table(heading, ("step", "value", "shape", "line"), rows)


def trace(program: Program, *, depth: int | None = None) -> Trace:
    """List the shape of every value.

    Args:
        program: the checked model.
        depth: how many calls deep to look; None for all the way down.
    """
    limit = depth if depth is not None else -1
    components = (
        Component(name, graph.doc, tuple(_steps(graph, Matched(), 0, limit)))
        for name, graph in program.root.methods.items()
    )
    return Trace(title(program), tuple(components))


def _steps(graph: Graph, sizes: Matched, depth: int, limit: int) -> Iterator[Step]:
    for index, node in enumerate(graph.nodes):
        if isinstance(node.payload, Constant | Size):
            continue
        for slot, kind in enumerate(node.types):
            shape = str(_sized(kind, sizes))
            name = graph.name_of(Value(index, slot))
            what = describe(node.payload) if slot == 0 else "  and"
            yield Step(depth, name, what, shape, line_of(node.span))
        if depth != limit:
            yield from _inside(graph, node, sizes, depth, limit)


def _inside(graph: Graph, node: Node, sizes: Matched, depth: int, limit: int) -> Iterator[Step]:
    found = tuple(_sized(graph.type_of(v), sizes) if v else None for v in node.inputs)
    match node.payload:
        case Call(method=method, definition=callee) if not is_leaf(callee):
            yield from _body(callee, method, found, depth + 1, limit)
        case Repeat(method=method, definitions=layers) if len(set(layers)) == 1:
            yield from _body(layers[0], method, found, depth + 1, limit)
        case Repeat(part=part, method=method, definitions=layers):
            for layer, run in groupby(layers):
                count = len(list(run))
                shape = str(found[0]) if found else ""
                yield Step(
                    depth + 1, "", f"{count} x {part}: {layer.block}", shape, line_of(layer.span)
                )
                yield from _body(layer, method, found, depth + 2, limit)


def _body(
    callee: Definition, method: str, found: tuple[TensorType | None, ...], depth: int, limit: int
) -> Iterator[Step]:
    graph = callee.methods[method]
    declared = [graph.type_of(value) for value in graph.inputs]
    sizes = match_arguments(declared, found)
    for step in _steps(graph, sizes, depth, limit):
        if step.what != "input":
            yield step


def _sized(kind: TensorType, sizes: Matched) -> TensorType:
    return sizes.result(kind) if sizes.sizes or sizes.rests else kind


def is_leaf(definition: Definition) -> bool:
    """Whether a block is one operation on its own parameters, such as a linear layer."""
    graph = definition.methods.get("forward")
    has_params = all(isinstance(part, Param) for part in definition.parts.values())
    return (
        has_params
        and graph is not None
        and sum(isinstance(n.payload, Apply) for n in graph.nodes) == 1
    )


def describe(payload: Payload) -> str:
    """What a node does, in a few words."""
    match payload:
        case Input():
            return "input"
        case Constant(value):
            return str(value)
        case Size(size):
            return f"size {size}"
        case Read(path):
            return f"parameter {path}"
        case Apply(op):
            return op.name
        case Call(part, method, definition):
            name = part if method == "forward" else f"{part}.{method}"
            return f"{name}: {definition.block}"
        case Repeat(part, _, layers):
            blocks = dict.fromkeys(layer.block for layer in layers)
            return f"{len(layers)} x {part}: {' | '.join(blocks)}"
        case Once(method):
            return f"{method}, once"
        case Route(one, other):
            return f"{one.part} | {other.part}"


def line_of(span: Span) -> str:
    """File and line."""
    return f"{span.file.name}:{span.line}"
