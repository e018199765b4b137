"""A definition at work inside a scope, and how calls bind types.

Takes the types of a call; gives the sizes and open axes of the callee in terms of its surroundings.
Glossary: own symbols are those of a method's signature; outer symbols are those of the scope it is
written into.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx import TensorProto

from lmmdsl.backends.onnx.scope import Scope, Shape
from lmmdsl.dims.expr import Dim, Symbol
from lmmdsl.graph.ir import Apply, Definition, Graph, Param
from lmmdsl.types.tensor import Rest, TensorType

Kinds = Sequence[TensorType | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a graph is written.

    Attributes:
        profile: `std` (opset 23), `ort` (contrib operations where faster) or `base` (opset 18).
        floats: ONNX element type of the model's own precision.
        flat: inline everything.
        cached: thread the key/value cache.
        kept: take in what is kept from the first step on, instead of computing it.
        domain: domain of the local functions.
    """

    profile: str = "std"
    floats: int = TensorProto.FLOAT
    flat: bool = False
    cached: bool = False
    kept: bool = False
    domain: str = "lmmdsl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A definition at work inside a scope.

    Attributes:
        path: instance path inside the scope (`llm.layers.3.attn`).
        rests: own symbols that stand for open leading axes.
        sizes: own symbols in outer terms; a symbol that is not listed means itself.
    """

    definition: Definition
    scope: Scope
    path: str = ""
    rests: Mapping[str, Shape] = field(default_factory=dict)
    sizes: Mapping[str, Dim] = field(default_factory=dict)

    def own(self, kind: TensorType) -> TensorType:
        """A type of the method with its open axes spelled out."""
        head = kind.shape[0] if kind.shape else None
        if isinstance(head, Rest):
            return TensorType(kind.dtype, self.rests[head.name] + kind.shape[1:], kind.optional)
        return kind

    def outer(self, kind: TensorType) -> TensorType:
        """A type of the method in outer symbols."""
        return self.own(kind).subs(self.sizes)

    def join(self, path: str) -> str:
        """Path of a part or parameter inside the scope."""
        return f"{self.path}.{path}" if self.path else path


def signature(graph: Graph) -> tuple[tuple[str, TensorType], ...]:
    """Names and types of a method's arguments."""
    return tuple((graph.name_of(value), graph.type_of(value)) for value in graph.inputs)


def open_ranks(graph: Graph, kinds: Kinds) -> tuple[tuple[str, int], ...]:
    """How many axes each open `*b` of a method has in a call."""
    found: dict[str, int] = {}
    for (_, formal), actual in zip(signature(graph), kinds, strict=True):
        if actual is not None and formal.shape and isinstance(formal.shape[0], Rest):
            found[formal.shape[0].name] = len(actual.shape) - len(formal.shape) + 1
    return tuple(found.items())


def open_axes(ranks: Sequence[tuple[str, int]]) -> dict[str, Shape]:
    """Own symbols for open axes: `*b` of rank 2 is `[b.0, b.1]`."""
    return {
        name: tuple(Dim.symbol(f"{name}.{axis}") for axis in range(rank)) for name, rank in ranks
    }


def bind(graph: Graph, kinds: Kinds, rests: Mapping[str, Shape]) -> dict[str, Dim]:
    """Own symbols of a method in the terms of a call's arguments."""
    sizes: dict[str, Dim] = {}
    for (_, formal), actual in zip(signature(graph), kinds, strict=True):
        if actual is None:
            continue
        head = formal.shape[0] if formal.shape else None
        shape = rests[head.name] + formal.shape[1:] if isinstance(head, Rest) else formal.shape
        for axis, size in zip(shape, actual.shape, strict=True):
            symbol = _symbol(axis)
            if symbol is not None and isinstance(size, Dim):
                sizes.setdefault(symbol, size)
    return sizes


def _symbol(axis: Dim | Rest) -> str | None:
    if isinstance(axis, Rest) or len(axis.terms) != 1:
        return None
    atoms, factor = axis.terms[0]
    if factor == 1 and len(atoms) == 1 and isinstance(atoms[0], Symbol):
        return atoms[0].name
    return None


def is_leaf(definition: Definition) -> bool:
    """Whether a block is one operation on its arguments and its own parameters."""
    if not all(isinstance(part, Param) for part in definition.parts.values()):
        return False
    methods = tuple(definition.methods.values())
    return len(methods) == 1 and sum(isinstance(n.payload, Apply) for n in methods[0].nodes) == 1
