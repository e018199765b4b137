"""Count what a program holds and does: parameters, floating-point operations, key/value cache.

Takes definitions and concrete sizes; gives whole numbers. Every distinct definition is counted once, whatever the
depth of the stacks that repeat it, so an 80-layer model costs what its distinct layers cost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod

from lmmdsl.dims.expr import Dim
from lmmdsl.dims.solve import solve
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Definition,
    Graph,
    Instance,
    Node,
    Once,
    Param,
    Part,
    Repeat,
    Route,
    Stack,
    Value,
    distinct,
)
from lmmdsl.types.tensor import Rest, TensorType

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of parameters; `learned` leaves out fixed tensors that checkpoints store."""

    total: int = 0
    learned: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.total + other.total, self.learned + other.learned)


class Parameters:
    """Parameters of every definition of a tree."""

    def __init__(self, root: Definition) -> None:
        self._of: dict[Definition, Amount] = {}
        for definition in distinct(root):
            self._of[definition] = sum(map(self.of_part, definition.parts.values()), Amount())

    def of(self, definition: Definition) -> Amount:
        """Parameters of one instance of a definition."""
        return self._of[definition]

    def of_part(self, part: Part) -> Amount:
        """Parameters of a part; a stack counts every layer."""
        match part:
            case Param():
                size = prod(axis.value for axis in part.shape)
                return Amount(size, size if part.trained else 0)
            case Instance():
                return self._of[part.definition]
            case Stack():
                return sum((self._of[layer] for layer in part.definitions), Amount())

    def of_path(self, definition: Definition, path: str) -> Amount:
        """Parameters under a dotted path; nothing where the path is not in the tree."""
        part = find_part(definition, path)
        return Amount() if part is None else self.of_part(part)


def find_part(definition: Definition, path: str) -> Part | None:
    """The part at a dotted path (`llm.layers.3.attn`), or None; a layer is given as an `Instance`."""
    head, _, rest = path.partition(".")
    part = definition.parts.get(head)
    if isinstance(part, Stack) and rest:
        number, _, rest = rest.partition(".")
        part = _layer(part, number)
    if part is None or not rest:
        return part
    return find_part(part.definition, rest) if isinstance(part, Instance) else None


def _layer(stack: Stack, number: str) -> Instance | None:
    is_layer = number.isdigit() and int(number) < len(stack.definitions)
    return Instance(number, stack.definitions[int(number)], stack.span) if is_layer else None


@dataclass(frozen=True, slots=True)
class CacheSlot:
    """One key/value cache entry: heads, and sizes of one key and one value."""

    heads: int
    key: int
    value: int

    @property
    def numbers(self) -> int:
        """Numbers kept per token."""
        return self.heads * (self.key + self.value)


@dataclass
class Caches:
    """Cache entries of methods, each distinct one looked at once."""

    _known: dict[tuple[Definition, str], tuple[CacheSlot, ...]] = field(default_factory=dict)

    def of(self, definition: Definition, method: str) -> tuple[CacheSlot, ...]:
        """Cache entries of a method, in the order in which it reaches them."""
        key = (definition, method)
        if key not in self._known:
            graph = definition.methods[method]
            self._known[key] = tuple(
                slot for node in graph.nodes for slot in self._kept(graph, node)
            )
        return self._known[key]

    def _kept(self, graph: Graph, node: Node) -> tuple[CacheSlot, ...]:
        match node.payload:
            case Call(method=method, definition=callee):
                return self.of(callee, method)
            case Repeat(method=method, definitions=layers):
                return tuple(slot for layer in layers for slot in self.of(layer, method))
            case Apply() if is_cached(node):
                return (_slot(graph, node),)
            case _:
                return ()


STEP, SEEN = (
    "T",
    "S",
)  # the symbols of a flow that goes on: tokens of this step, tokens so far and now


def new_tokens(graph: Graph) -> tuple[Value, int] | None:
    """An input of a flow that goes on step by step, and its axis T; None for a flow that does not."""
    found = [
        (value, axis, str(size))
        for value in graph.inputs
        for axis, size in enumerate(graph.type_of(value).shape)
    ]
    if SEEN not in {size for _, _, size in found}:
        return None
    return next(((value, axis) for value, axis, size in found if size == STEP), None)


def goes_on(root: Definition, method: str) -> bool:
    """Whether a method may be called step by step, with what it keeps of earlier tokens."""
    return new_tokens(root.methods[method]) is not None and bool(Caches().of(root, method))


def is_cached(node: Node) -> bool:
    """Whether a node is an attention that keeps its keys and values."""
    return isinstance(node.payload, Apply) and bool(getattr(node.payload.op, "cache", False))


def _slot(graph: Graph, node: Node) -> CacheSlot:
    key, value = (graph.type_of(source).shape for source in node.inputs[1:3] if source)
    sizes = (axis.value for axis in (key[1], key[3], value[3]) if isinstance(axis, Dim))
    return CacheSlot(*sizes)


@dataclass
class Operations:
    """Floating-point operations of methods at concrete sizes.

    Attributes:
        past: tokens that cached attentions have already seen.
    """

    past: int = 0
    _known: dict[tuple[Definition, str, tuple[Shape | None, ...]], int] = field(
        default_factory=dict
    )

    def of(self, definition: Definition, method: str, shapes: tuple[Shape | None, ...]) -> int:
        """Operations of a method.

        Args:
            definition: whose method.
            method: its name.
            shapes: of the arguments, in order; None for one that is left out.

        Returns:
            Multiplications and additions of matrix products and convolutions; the rest counts nothing.
        """
        key = (definition, method, shapes)
        if key not in self._known:
            graph = definition.methods[method]
            sizes = _bind(graph, shapes)
            self._known[key] = sum(self._node(graph, node, sizes) for node in graph.nodes)
        return self._known[key]

    def _node(self, graph: Graph, node: Node, sizes: "_Sizes") -> int:
        match node.payload:
            case Call(method=method, definition=callee):
                return self.of(callee, method, sizes.shapes(graph, node))
            case Repeat(method=method, definitions=layers):
                shapes = sizes.shapes(graph, node)
                return sum(self.of(layer, method, shapes) for layer in layers)
            case Route():  # a token goes through one of them
                tokens = sizes.shapes(graph, node)[1:]
                pair = (node.payload.one, node.payload.other)
                return max(self.of(call.definition, call.method, tokens) for call in pair)
            case _:
                return self._step(graph, node, sizes)

    def _step(self, graph: Graph, node: Node, sizes: "_Sizes") -> int:
        """What one step adds."""
        if not isinstance(node.payload, Apply):
            return 0
        types = tuple(sizes.type_of(graph, value) for value in node.inputs)
        if is_cached(node):
            types = (types[0], *(self._seen(kind) for kind in types[1:3]), *types[3:])
        outputs = tuple(map(sizes.type, node.types))
        return node.payload.op.flops(types, outputs).value

    def _seen(self, kind: TensorType | None) -> TensorType | None:
        """Keys or values `[B, g, T, d]` with those of the past in front."""
        if kind is None:
            return None
        batch, heads, tokens, width = kind.shape
        assert isinstance(tokens, Dim)
        return replace(kind, shape=(batch, heads, tokens + self.past, width))


class KeptNumbers(Operations):
    """Numbers that methods keep from their first step on, counted as operations are."""

    def _step(self, graph: Graph, node: Node, sizes: "_Sizes") -> int:
        kinds = node.types if isinstance(node.payload, Once) else ()
        return sum(prod(_numbers(sizes.type(kind))) for kind in kinds)


@dataclass
class _Sizes:
    """What the symbols of one method stand for."""

    symbols: dict[str, Dim] = field(default_factory=dict)
    rests: dict[str, tuple[Dim, ...]] = field(default_factory=dict)
    absent: set[Value] = field(default_factory=set)

    def type(self, kind: TensorType) -> TensorType:
        """A type in numbers."""
        shape: list[Dim] = []
        for axis in kind.shape:
            if isinstance(axis, Rest):
                shape.extend(self.rests[axis.name])
            else:
                shape.append(axis.subs(self.symbols))
        return replace(kind, shape=tuple(shape))

    def type_of(self, graph: Graph, value: Value | None) -> TensorType | None:
        """The type of a value in numbers; None where there is none."""
        is_absent = value is None or value in self.absent
        return None if is_absent or value is None else self.type(graph.type_of(value))

    def shapes(self, graph: Graph, node: Node) -> tuple[Shape | None, ...]:
        """Shapes of the arguments of a call."""
        types = (self.type_of(graph, value) for value in node.inputs)
        return tuple(_numbers(kind) if kind else None for kind in types)


def _numbers(kind: TensorType) -> Shape:
    return tuple(axis.value for axis in kind.shape if isinstance(axis, Dim))


def _bind(graph: Graph, shapes: tuple[Shape | None, ...]) -> _Sizes:
    sizes = _Sizes()
    for value, shape in zip(graph.inputs, shapes, strict=True):
        if shape is None:
            sizes.absent.add(value)
            continue
        axes = graph.type_of(value).shape
        if axes and isinstance(axes[0], Rest):
            split = len(shape) - len(axes) + 1
            sizes.rests[axes[0].name] = tuple(map(Dim.of, shape[:split]))
            axes, shape = axes[1:], shape[split:]
        for axis, size in zip(axes, shape, strict=True):
            _bind_axis(sizes, axis, size)
    return sizes


def _bind_axis(sizes: _Sizes, axis: Dim | Rest, size: int) -> None:
    found = solve(axis, Dim.of(size), sizes.symbols) if isinstance(axis, Dim) else None
    if found is not None:
        sizes.symbols[found[0]] = found[1]


def concrete(graph: Graph, symbols: Mapping[str, int]) -> tuple[Shape | None, ...]:
    """Shapes of a component's arguments for given sizes of its symbols; None where a symbol is not given."""
    known = {name: Dim.of(size) for name, size in symbols.items()}
    types = (graph.type_of(value).subs(known) for value in graph.inputs)
    return tuple(_numbers(kind) if _is_known(kind) else None for kind in types)


def _is_known(kind: TensorType) -> bool:
    return all(isinstance(axis, Dim) and axis.is_const for axis in kind.shape)
