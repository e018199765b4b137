"""Who sees whom inside a part: a matrix for each of its methods, where these join rows in several ways.

The rows are followed from the first self-attention back to where they come from; its mask is worked out for a few rows
of each kind, element by element, from the comparisons that the spec writes. What cannot be worked out is not drawn.
"""

import operator
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lmmdsl.backends.dot.figure import Grid
from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Node,
    Read,
    Repeat,
    Value,
)

LEARNED, GIVEN = 4, 3  # rows that stand for learned ones, and for those of an argument
QUERIES, KEYS, MASK = 0, 1, 4  # operands of an attention
OTHERS = (6,)  # operands that change who sees whom and are not followed: a prefix
WIDTH = 30  # of a line of text, in characters
Labels = tuple[tuple[str, str], ...]
COMPARED: Mapping[str, Callable[[int, int], int]] = {
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "logical_and": operator.and_,
    "logical_or": operator.or_,
}


@dataclass(frozen=True, slots=True)
class _Frame:
    """A method as it is called: where its arguments come from."""

    graph: Graph
    arguments: Mapping[Value, "_Place | None"]

    def node(self, value: Value) -> Node:
        """The step that makes a value."""
        return self.graph.nodes[value.node]


@dataclass(frozen=True, slots=True)
class _Place:
    """A value of a frame."""

    value: Value
    frame: _Frame

    @property
    def node(self) -> Node:
        """The step that makes it."""
        return self.frame.node(self.value)

    def source(self, slot: int = 0) -> "_Place | None":
        """What the value is made of; through arguments to the caller."""
        if isinstance(self.node.payload, Input):
            return self.frame.arguments.get(self.value)
        inputs = self.node.inputs
        value = inputs[slot] if slot < len(inputs) else None
        return _Place(value, self.frame) if value else None


class _UnknownError(Exception):
    """A mask is made of more than comparisons of places."""


def mode_grids(definition: Definition, part: str) -> tuple[Grid, ...]:
    """Draw who sees whom in each method of a part that attends to its own rows."""
    found = (
        _grid(graph, part if name == "forward" else f"{part}.{name}")
        for name, graph in definition.methods.items()
    )
    return tuple(grid for grid in found if grid)


def _grid(graph: Graph, name: str) -> Grid | None:
    attentions = filter(_is_of_itself, _attentions(_Frame(graph, {})))
    try:
        found = set(map(_matrix, attentions))
    except _UnknownError:
        return None
    if len(found) != 1:  # nothing is attended to, or layers differ
        return None
    labels, rows = found.pop()
    about = textwrap.fill(graph.doc.strip().partition("\n")[0], WIDTH)
    return Grid(name, name, labels, rows, about)


def _matrix(attention: _Place) -> tuple[Labels, tuple[tuple[str, ...], ...]]:
    """Kind and name of the rows, and how they see each other."""
    queries = attention.source(QUERIES)
    others = (attention.source(slot) for slot in OTHERS)
    if queries is None or any(other and _given(other) for other in others):
        raise _UnknownError
    labels, places = _rows(_top(queries))
    seen = (("yes" if _sees(attention, i, j) else "no" for j in places) for i in places)
    return labels, tuple(map(tuple, seen))


def _attentions(frame: _Frame) -> Iterator[_Place]:
    """Attentions in the order in which they are run; of a stack, those of each kind of layer."""
    for index, node in enumerate(frame.graph.nodes):
        match node.payload:
            case Call(method=method, definition=callee):
                yield from _attentions(_called(callee, method, node, frame))
            case Repeat(method=method, definitions=layers):
                for layer in dict.fromkeys(layers):
                    yield from _attentions(_called(layer, method, node, frame))
            case Apply(op) if op.name == "attend":
                yield _Place(Value(index), frame)


def _called(definition: Definition, method: str, node: Node, frame: _Frame) -> _Frame:
    graph = definition.methods[method]
    given = (_Place(value, frame) if value else None for value in node.inputs)
    return _Frame(graph, dict(zip(graph.inputs, given, strict=True)))


def _is_of_itself(attention: _Place) -> bool:
    """Whether queries and keys are made of the same rows."""
    ends = [_end(place) for slot in (QUERIES, KEYS) if (place := attention.source(slot))]
    queries, keys = ends
    return queries.value == keys.value and queries.frame.graph is keys.frame.graph


def _end(place: _Place) -> _Place:
    """Where rows come from: a learned table, an argument of the part, or rows that are joined."""
    while not _is_joined(place) and (source := place.source()):
        place = source
    return place


def _top(place: _Place) -> _Place:
    """The rows in the method of the part itself."""
    while place.frame.arguments and (source := place.source()):
        place = source
    return place


def _is_joined(place: _Place) -> bool:
    payload = place.node.payload
    return isinstance(payload, Apply) and payload.op.name == "concat"


def _rows(place: _Place) -> tuple[Labels, tuple[int, ...]]:
    """Kind and name of the rows that are drawn, and which ones they are."""
    end = _end(place)
    parts = (
        [end.source(slot) for slot in range(len(end.node.inputs))] if _is_joined(end) else [place]
    )
    labels: list[tuple[str, str]] = []
    places: list[int] = []
    first = 0
    for part in filter(None, parts):
        axis = part.node.types[part.value.slot].shape[1]
        count = axis.value if isinstance(axis, Dim) and axis.is_const else None
        drawn = GIVEN if count is None else min(LEARNED, count)
        kind = "slot" if count is None else "image"
        labels += [(kind, _name(part) if row == 0 else "") for row in range(drawn)]
        places += range(first, first + drawn)
        first += drawn if count is None else count
    return tuple(labels), tuple(places)


def _name(place: _Place) -> str:
    payload = _end(place).node.payload
    return payload.path if isinstance(payload, Read) else getattr(payload, "name", "")


# ---- masks -------------------------------------------------------------------------------------


def _sees(attention: _Place, row: int, column: int) -> bool:
    mask = attention.source(MASK)
    if mask is None or not (end := _given(mask)):
        payload = attention.node.payload
        is_causal = isinstance(payload, Apply) and getattr(payload.op, "causal", False)
        return column <= row or not is_causal
    return bool(_element(end, (0, row, column)))


def _given(place: _Place) -> _Place | None:
    """The value that an argument is given; None where it is left out."""
    found: _Place | None = place
    while found and isinstance(found.node.payload, Input):
        found = found.source()
    return found


def _element(place: _Place, index: tuple[int, ...]) -> int:
    """One number of a value, at an index from which leading axes of one are missing or not."""
    found = _given(place)
    if found is None:
        raise _UnknownError
    shape = found.node.types[found.value.slot].shape
    own = index[len(index) - len(shape) :]
    own = tuple(0 if axis == ONE else k for axis, k in zip(shape, own, strict=True))
    match found.node.payload:
        case Constant(value):
            return int(value)
        case Apply(op) if op.name == "arange":
            return own[0]
        case Apply(op) if op.name == "rearrange":
            return _turned(found, str(getattr(op, "pattern", "")), own)
        case Apply(op) if op.name in COMPARED:
            one, other = (_element(side, own) for slot in (0, 1) if (side := found.source(slot)))
            return COMPARED[op.name](one, other)
        case _:
            raise _UnknownError


def _turned(place: _Place, pattern: str, index: tuple[int, ...]) -> int:
    before, after = (side.split() for side in pattern.split("->"))
    source = place.source()
    if source is None or "(" in pattern:
        raise _UnknownError
    at = dict(zip(after, index, strict=True))
    return _element(source, tuple(at.get(name, 0) for name in before))
