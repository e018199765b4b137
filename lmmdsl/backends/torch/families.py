"""Families: definitions that differ in sizes alone are one class, whose constructor takes those sizes.

The feed-forward of an encoder and that of a connector become one `Mlp(width, hidden)`. A size that differs needs a
name: a parameter of the block, a number that it works out, or a simple expression of these. Where one has none, each
definition keeps a class of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import groupby

from lmmdsl.backends.torch.columns import Names
from lmmdsl.backends.torch.leaves import leaf_module
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Instance,
    Node,
    Param,
    Part,
    Repeat,
    Route,
    Size,
    Stack,
    distinct,
)
from lmmdsl.ops.base import Op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType

Change = Callable[[Dim], Dim]  # of a size that is a number
BLANK = Dim.symbol("_")


@dataclass(frozen=True, eq=False)
class Family:
    """Definitions that share a class.

    Attributes:
        pattern: the definition that the class is written from: sizes that differ are symbols, the arguments.
        sizes: by member, its sizes by argument.
    """

    pattern: Definition
    sizes: Mapping[Definition, Mapping[str, Dim]]


@dataclass
class Families:
    """The families below a model.

    Attributes:
        all: each family, in the order of their first members; the model itself is none.
        stands_for: what a part of a pattern stands for: its family, and sizes that may be symbols.
    """

    root: Definition
    all: list[Family] = field(default_factory=list)
    stands_for: dict[Definition, tuple[Family, Mapping[str, Dim]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the families, those of parts first."""
        items = [
            item
            for item in distinct(self.root)
            if leaf_module(item) is None and item is not self.root
        ]
        heights = _heights(items)
        found = [
            family
            for _, level in groupby(sorted(items, key=heights.__getitem__), key=heights.__getitem__)
            for family in self._level(list(level))
        ]
        places = {item: place for place, item in enumerate(items)}
        self.all = sorted(found, key=lambda family: min(places[item] for item in family.sizes))

    def _level(self, items: list[Definition]) -> list[Family]:
        """Families among definitions of one height, whose parts all have theirs."""
        alike: dict[object, list[Definition]] = {}
        for item in items:
            alike.setdefault(self._key(item), []).append(item)
        found = [family for members in alike.values() for family in self._of(members)]
        for family in found:
            self.stands_for |= {item: (family, sizes) for item, sizes in family.sizes.items()}
        return found

    def _of(self, members: list[Definition]) -> list[Family]:
        """One family of all these definitions, if what differs has names, else one of each."""
        columns = list(zip(*(self._numbers(item) for item in members), strict=True))
        names = Names(members)
        named = {column: names.expression(column) for column in columns if len(set(column)) > 1}
        sizes = iter([named.get(column) or Dim.of(column[0]) for column in columns])
        longest = max(members, key=_arguments)
        pattern = _lacking(self._resized(longest, lambda _: next(sizes)), members)
        if named and (None in named.values() or not _is_written(pattern)):
            return [family for item in members for family in self._of([item])]
        used = {name for size in named.values() if size for name in size.symbols()}
        return [Family(pattern, {item: names.sizes(item, used) for item in members})]

    def _numbers(self, item: Definition) -> list[int]:
        """All sizes of a definition that are numbers, in the order in which `_resized` asks for them."""
        found: list[int] = []

        def note(size: Dim) -> Dim:
            found.append(size.value)
            return size

        self._resized(item, note)
        return found

    def is_short(self, item: Definition, method: str, given: int) -> bool:
        """Whether the class of a part takes more arguments than a call of this method gives."""
        known = self.stands_for.get(item)
        return known is not None and len(known[0].pattern.methods[method].inputs) > given

    # ---- the same definition with other sizes ----------------------------------------------------

    def _resized(self, item: Definition, change: Change) -> Definition:
        parts = {name: self._part(part, change) for name, part in item.parts.items()}
        methods = {name: _graph(graph, change) for name, graph in item.methods.items()}
        return replace(item, parts=parts, methods=methods)

    def _part(self, part: Part, change: Change) -> Part:
        match part:
            case Param():
                return replace(part, shape=tuple(_size(size, change) for size in part.shape))
            case Instance():
                return replace(part, definition=self._stand_in(part.definition, change))
            case Stack():
                made = {
                    layer: self._stand_in(layer, change)
                    for layer in dict.fromkeys(part.definitions)
                }
                return replace(part, definitions=tuple(made[layer] for layer in part.definitions))

    def _stand_in(self, item: Definition, change: Change) -> Definition:
        """A part of a pattern: of the family of `item`, with sizes in terms of the pattern's own."""
        if item not in self.stands_for:  # a leaf
            return self._resized(item, change)
        family, sizes = self.stands_for[item]
        made = replace(item)
        self.stands_for[made] = family, {name: change(size) for name, size in sizes.items()}
        return made

    # ---- what definitions of a family have in common ---------------------------------------------

    def _key(self, item: Definition) -> object:
        """Everything of a definition but its sizes."""
        parts = tuple(self._part_key(part) for part in item.parts.values())
        methods = tuple((name, _graph_key(graph)) for name, graph in item.methods.items())
        return item.block, item.span, item.wraps, parts, methods

    def _part_key(self, part: Part) -> object:
        match part:
            case Param():
                shape = tuple(_size(size, _blank) for size in part.shape)
                return part.name, shape, part.init, part.trained
            case Instance():
                return part.name, self._family_key(part.definition)
            case Stack():
                return part.name, tuple(map(self._family_key, part.definitions))

    def _family_key(self, item: Definition) -> object:
        known = self.stands_for.get(item)
        return id(known[0]) if known else self._key(item)


def _blank(_: Dim) -> Dim:
    return BLANK


def _size(size: Dim, change: Change) -> Dim:
    return change(size) if size.is_const else size


def _heights(items: list[Definition]) -> dict[Definition, int]:
    """How many levels of parts each definition has; parts come before what holds them."""
    found: dict[Definition, int] = {}
    for item in items:
        held = (part for part in item.parts.values() if not isinstance(part, Param))
        inner = [
            d
            for part in held
            for d in (part.definitions if isinstance(part, Stack) else (part.definition,))
        ]
        found[item] = 1 + max((found.get(definition, 0) for definition in inner), default=0)
    return found


def _graph(graph: Graph, change: Change) -> Graph:
    idle = _passing(graph)
    nodes = (
        node if place in idle else _node(node, change) for place, node in enumerate(graph.nodes)
    )
    return replace(graph, nodes=tuple(nodes))


def _passing(graph: Graph) -> set[int]:
    """Arguments at the end that a layer is handed for the sake of others in its stack."""
    found: set[int] = set()
    read = {value.node for node in graph.nodes for value in node.inputs if value}
    for place in reversed(range(len(graph.nodes))):
        payload = graph.nodes[place].payload
        if not isinstance(payload, Input) or not payload.outside or place in read:
            break
        found.add(place)
    return found


def _lacking(pattern: Definition, members: Iterable[Definition]) -> Definition:
    """The pattern, where arguments that not all members are handed may be left out."""
    methods = {}
    for name, graph in pattern.methods.items():
        least = min(len(item.methods[name].inputs) for item in members)
        extra = {value.node for value in graph.inputs[least:]}
        nodes = tuple(
            replace(node, types=tuple(replace(kind, optional=True) for kind in node.types))
            if place in extra
            else node
            for place, node in enumerate(graph.nodes)
        )
        methods[name] = replace(graph, nodes=nodes)
    return replace(pattern, methods=methods)


def _node(node: Node, change: Change) -> Node:
    types = tuple(_type(kind, change) for kind in node.types)
    match node.payload:
        case Apply(op=op):
            return replace(node, payload=Apply(_op(op, change)), types=types)
        case Constant(value=int() as value) if not isinstance(value, bool):
            size = change(Dim.of(value))
            payload = node.payload if size.is_const else Size(size)
            return replace(node, payload=payload, types=types)
    return replace(node, types=types)


def _type(kind: TensorType, change: Change) -> TensorType:
    return replace(
        kind, shape=tuple(_size(a, change) if isinstance(a, Dim) else a for a in kind.shape)
    )


def _op(op: Op, change: Change) -> Op:
    changed = {f.name: _attribute(getattr(op, f.name), change) for f in fields(op)}
    return replace(op, **changed)


def _attribute(value: object, change: Change) -> object:
    match value:
        case Dim():
            return _size(value, change)
        case tuple():
            return tuple(_attribute(item, change) for item in value)
        case dict():
            return {name: _attribute(item, change) for name, item in value.items()}
    return value


def _is_written(pattern: Definition) -> bool:
    """Whether every operation has its text, whatever the sizes are that the class is given."""
    nodes = ((graph, node) for graph in pattern.methods.values() for node in graph.nodes)
    return all(_has_text(graph, node) for graph, node in nodes)


def _has_text(graph: Graph, node: Node) -> bool:
    if not isinstance(node.payload, Apply):
        return True
    inputs = tuple(graph.type_of(value) if value else None for value in node.inputs)
    try:
        node.payload.op.torch(
            _Trial(inputs, node.types), *("x" if kind else "None" for kind in inputs)
        )
    except (Refused, ValueError):  # it splits `width` into heads, say, which only numbers allow
        return False
    return True


@dataclass(frozen=True)
class _Trial:
    """Stands for the writer of a method while an operation shows that it has a text."""

    inputs: Types
    outputs: tuple[TensorType, ...]

    def dim(self, size: Dim) -> str:
        return "n"

    def device(self) -> str:
        return "x.device"

    def dtype(self) -> str:
        return "x.dtype"

    def helper(self, name: str) -> str:
        return name

    def cache(self) -> tuple[str, str]:
        return "cache", "0"


def _arguments(item: Definition) -> int:
    return sum(len(graph.inputs) for graph in item.methods.values())


def _graph_key(graph: Graph) -> object:
    idle = _passing(graph)
    nodes = tuple(
        (
            _payload_key(node),
            node.inputs,
            tuple(_type(kind, _blank) for kind in node.types),
            node.names,
        )
        for place, node in enumerate(graph.nodes)
        if place not in idle
    )
    inputs = tuple(value for value in graph.inputs if value.node not in idle)
    return nodes, inputs, graph.outputs, graph.doc


def _payload_key(node: Node) -> object:
    match node.payload:
        case Apply(op=op):
            return repr(_op(op, _blank))
        case Constant(value=value):
            return type(value), value if isinstance(value, bool | float) else None
        case Call(part=part, method=method):
            return part, method
        case Repeat(part=part, method=method, states=states):
            return part, method, states
        case Route(one=one, other=other):
            return one.part, one.method, other.part, other.method
    return node.payload
