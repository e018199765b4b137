"""What a method needs from outside: the parameters it reads and the cache entries it keeps.

Takes a definition and a method; gives dotted parameter paths in source order and cache slots in execution order.
Answers are remembered per definition, so a deep stack costs what its distinct layers cost.
"""

from dataclasses import dataclass

from lmmdsl.backends.onnx.frame import is_cached
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Call, Definition, Graph, Node, Read, Repeat
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Slot:
    """One cache entry: heads, and sizes of a key and of a value."""

    heads: int
    key: int
    value: int


class Uses:
    """Remembers what methods need."""

    def __init__(self) -> None:
        self._params: dict[tuple[Definition, str], tuple[str, ...]] = {}
        self._slots: dict[tuple[Definition, str], tuple[Slot, ...]] = {}

    def params(self, definition: Definition, method: str) -> tuple[str, ...]:
        """Parameters that a method reads, through all its calls."""
        key = (definition, method)
        if key not in self._params:
            paths = dict.fromkeys(
                p for n in definition.methods[method].nodes for p in self._read(n)
            )
            self._params[key] = tuple(paths)
        return self._params[key]

    def _read(self, node: Node) -> list[str]:
        match node.payload:
            case Read(path):
                return [path]
            case Call(part, method, definition):
                return [f"{part}.{path}" for path in self.params(definition, method)]
            case Repeat(part, method, definitions):
                return [
                    f"{part}.{layer}.{path}"
                    for layer, definition in enumerate(definitions)
                    for path in self.params(definition, method)
                ]
            case _:
                return []

    def slots(self, definition: Definition, method: str) -> tuple[Slot, ...]:
        """Cache entries of a method, in the order in which it reaches them."""
        key = (definition, method)
        if key not in self._slots:
            graph = definition.methods[method]
            self._slots[key] = tuple(
                slot for node in graph.nodes for slot in self._kept(graph, node)
            )
        return self._slots[key]

    def _kept(self, graph: Graph, node: Node) -> tuple[Slot, ...]:
        match node.payload:
            case Call(_, method, definition):
                return self.slots(definition, method)
            case Repeat(_, method, definitions):
                return tuple(
                    s for definition in definitions for s in self.slots(definition, method)
                )
            case _ if is_cached(node):
                _, key, value = (graph.type_of(v) for v in node.inputs[:3] if v is not None)
                return (Slot(_size(key, 1), _size(key, 3), _size(value, 3)),)
            case _:
                return ()


def _size(kind: TensorType, axis: int) -> int:
    size = kind.shape[axis]
    if not isinstance(size, Dim):
        raise TypeError(f"axis {axis} of {kind} is open")
    return size.value
