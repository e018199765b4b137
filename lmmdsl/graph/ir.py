"""The checked program.

A `Program` is an instance tree of `Definition`s. There is one definition per distinct binding of a block, so a stack
of 80 equal layers holds one definition and a count; cost follows the distinct, not the depth. Each method of a
definition is a `Graph`: nodes in source order, every node after the nodes it reads (so the order is topological).

Invariants: a value is read only after it is made; names of inputs, parts and outputs are unique; shapes of one
graph mention only its own symbols; a `Call` names a part of its own definition (`a.b` reaches a part of a part).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import Op
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Value:
    """Output `slot` of node `node` (an index into `Graph.nodes`)."""

    node: int
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Input:
    """An argument of the method; `axes` of its type are the method's run-time symbols.

    One from `outside` is not in the signature that the block declares: an injection below needs it, and every caller
    up to the model hands it down under the same name.
    """

    name: str
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    """A number written in the source, as a rank-0 tensor."""

    value: int | float | bool


@dataclass(frozen=True, slots=True)
class Size:
    """The run-time size of an axis, as a rank-0 integer tensor."""

    size: Dim


@dataclass(frozen=True, slots=True)
class Read:
    """A parameter of this definition or of a part of it, by dotted path (`weight`, `embed.weight`)."""

    path: str


@dataclass(frozen=True, slots=True)
class Apply:
    """A primitive operation."""

    op: Op


@dataclass(frozen=True, slots=True)
class Call:
    """A method of a part. Outputs are the callee's outputs, in order."""

    part: str
    method: str
    definition: "Definition"


@dataclass(frozen=True, slots=True)
class Repeat:
    """A stack applied in sequence: the first argument passes through all layers, the others go to each layer.

    Output slot k is the state after layer `states[k]` (1-based; `count` is the last).
    """

    part: str
    method: str
    definitions: "tuple[Definition, ...]"
    states: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Once:
    """Another method of this definition, whose results stay the same from step to step: a cache keeps them.

    Its inputs are the arguments of that method. Only the pass that looks for such values makes this node.
    """

    method: str


@dataclass(frozen=True, slots=True)
class Route:
    """Two parts that share the tokens: those of a mask go through `one`, all others through `other`.

    Inputs are the mask `[*b]` and the tokens `[*b, D]`. Only the pass that looks for such pairs makes this node.
    """

    one: Call
    other: Call


Payload = Input | Constant | Size | Read | Apply | Call | Repeat | Once | Route


@dataclass(frozen=True, slots=True)
class Node:
    """One step. `names` are the source names of its outputs where it has them (else "")."""

    payload: Payload
    inputs: tuple[Value | None, ...]
    types: tuple[TensorType, ...]
    span: Span
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """One method. `outputs` pairs a name with a value; the plain result is called "result" (or `result.k`).

    Names in `exposes` are those of values that the method shows beside its results (`hidden`, or `hidden.k` of a list).
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[tuple[str, Value], ...]
    span: Span
    doc: str = ""
    exposes: frozenset[str] = frozenset()

    def type_of(self, value: Value) -> TensorType:
        """Type of a value of this graph."""
        return self.nodes[value.node].types[value.slot]

    def name_of(self, value: Value) -> str:
        """Source name of a value, or ""."""
        names = self.nodes[value.node].names
        return names[value.slot] if value.slot < len(names) else ""

    def readers(self) -> dict[Value, list[int]]:
        """Nodes that read each value, in order."""
        found: dict[Value, list[int]] = {}
        for index, node in enumerate(self.nodes):
            for value in node.inputs:
                if value is not None:
                    found.setdefault(value, []).append(index)
        return found


@dataclass(frozen=True, slots=True)
class Param:
    """A learned tensor (or, when not `trained`, a fixed one that checkpoints store).

    A parameter of a fused part `packs` the rows of others, in order: paths from the block that holds the part.
    """

    name: str
    shape: tuple[Dim, ...]
    span: Span
    init: str = "normal"  # normal | zeros | ones
    trained: bool = True
    packs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """A part: one instance of a definition."""

    name: str
    definition: "Definition"
    span: Span


@dataclass(frozen=True, slots=True)
class Stack:
    """A part: several instances in sequence; equal layers share one definition object."""

    name: str
    definitions: "tuple[Definition, ...]"
    span: Span


Part = Param | Instance | Stack


@dataclass(frozen=True, eq=False)
class Definition:
    """A block with its parameters bound. Identity is equality: one object per distinct binding.

    Attributes:
        block: name of the block in the language.
        binding: the block's parameters as written in messages and docstrings (numbers, words, booleans).
        parts: every declared part, in source order, used or not.
        methods: dataflow per method name; `forward` is the one that a plain call runs.
        naming: per scheme, how checkpoints of that scheme name the parts (relative paths).
        values: compile-time numbers of the block (`grid = 24`), for reports.
        declared: names of all parts that the block may have, those left out by this binding included.
        wraps: name of the part that an injection wrapped with this block, whose place it took in the tree; "" for a
            block that stands where it was written. Paths and checkpoint names see through it.
    """

    block: str
    binding: Mapping[str, object]
    doc: str
    span: Span
    parts: Mapping[str, Part]
    methods: Mapping[str, Graph]
    naming: "Mapping[str, tuple[NamingRule, ...]]" = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    declared: frozenset[str] = frozenset()
    wraps: str = ""

    def find(self, name: str) -> "tuple[str, Part] | None":
        """A part by name, and its path: through what this definition wraps where it has none of its own."""
        if name in self.parts:
            return name, self.parts[name]
        wrapped = self.parts.get(self.wraps)
        found = wrapped.definition.find(name) if isinstance(wrapped, Instance) else None
        return (f"{self.wraps}.{found[0]}", found[1]) if found else None

    def params(self, prefix: str = "") -> Iterator[tuple[str, Param]]:
        """All parameters of the subtree by dotted path, in source order (`layers.0.attn.q.weight`)."""
        for part in self.parts.values():
            path = prefix + part.name
            match part:
                case Param():
                    yield path, part
                case Instance():
                    yield from part.definition.params(path + ".")
                case Stack():
                    for index, definition in enumerate(part.definitions):
                        yield from definition.params(f"{path}.{index}.")


@dataclass(frozen=True, slots=True)
class NamingRule:
    """One line of a `naming` or `weights` section.

    `ours` are paths of parts or parameters relative to the owner; with several, the checkpoint stores their rows
    (first axis) one after another in one tensor. `groups` > 1 means that the rows are interleaved per group (per
    head: q rows of head 0, k rows of head 0, ...); `squeezed` that the tensor lacks the first axis, which is 1.
    `theirs` are the accepted names: the first is written on saving, all are read. `scheme` names the scheme to use
    below this part (else the same one).
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    span: Span
    groups: int = 1
    transposed: bool = False
    squeezed: bool = False
    scheme: str | None = None


def walk(definition: Definition, path: str = "") -> Iterator[tuple[str, Definition]]:
    """Every instance of the tree with its path, parents first; stacks are spelled out."""
    yield path, definition
    prefix = path + "." if path else ""
    for part in definition.parts.values():
        match part:
            case Instance():
                yield from walk(part.definition, prefix + part.name)
            case Stack():
                for index, item in enumerate(part.definitions):
                    yield from walk(item, f"{prefix}{part.name}.{index}")


def distinct(definition: Definition) -> tuple[Definition, ...]:
    """Every distinct definition of the tree, parts before the blocks that hold them."""
    found: dict[int, Definition] = {}

    def visit(item: Definition) -> None:
        if id(item) in found:
            return
        for part in item.parts.values():
            match part:
                case Instance():
                    visit(part.definition)
                case Stack():
                    for layer in dict.fromkeys(part.definitions):
                        visit(layer)
        found.setdefault(id(item), item)

    visit(definition)
    return tuple(found.values())
