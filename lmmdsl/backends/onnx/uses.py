"""What a method needs from outside: the parameters it reads, the cache entries it keeps, the arguments it looks at.

Takes a definition and a method; gives dotted parameter paths in source order and cache slots in execution order.
Answers are remembered per definition, so a deep stack costs what its distinct layers cost.
"""

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Call, Definition, Graph, Input, Node, Once, Read, Repeat, Route, Value
from lmmdsl.passes.count import Caches, CacheSlot
from lmmdsl.types.tensor import Rest, TensorType


class Uses:
    """Remembers what methods need."""

    def __init__(self) -> None:
        self._params: dict[tuple[Definition, str], tuple[str, ...]] = {}
        self._caches = Caches()
        self._counts: dict[tuple[Definition, str], tuple[int, ...]] = {}
        self._places: dict[tuple[Definition, str], frozenset[int]] = {}

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
            case Route(one, other):
                return [
                    f"{call.part}.{path}"
                    for call in (one, other)
                    for path in self.params(call.definition, call.method)
                ]
            case Repeat(part, method, definitions):
                return [
                    f"{part}.{layer}.{path}"
                    for layer, definition in enumerate(definitions)
                    for path in self.params(definition, method)
                ]
            case _:
                return []

    def slots(self, definition: Definition, method: str) -> tuple[CacheSlot, ...]:
        """Cache entries of a method, in the order in which it reaches them."""
        return self._caches.of(definition, method)

    def kept(self, definition: Definition, method: str) -> tuple[int, ...]:
        """How many values each node of a method keeps from the first step on, in the order in which it reaches them."""
        key = (definition, method)
        if key not in self._counts:
            nodes = definition.methods[method].nodes
            self._counts[key] = tuple(count for node in nodes for count in self._numbers(node))
        return self._counts[key]

    def _numbers(self, node: Node) -> tuple[int, ...]:
        match node.payload:
            case Call(_, method, definition):
                return self.kept(definition, method)
            case Repeat(_, method, definitions):
                return tuple(n for layer in definitions for n in self.kept(layer, method))
            case Once():
                return (len(node.types),)
        return ()

    def looks_at(self, definition: Definition, method: str) -> frozenset[int]:
        """Places of the arguments that a method needs at every step: for more than what it keeps."""
        key = (definition, method)
        if key not in self._places:
            graph = definition.methods[method]
            read = {value for node in graph.nodes for value in self._read_values(node)}
            read |= {value for _, value in graph.outputs}
            told = _told(graph, [value for value in graph.inputs if value in read])
            self._places[key] = frozenset(
                place
                for place, value in enumerate(graph.inputs)
                if value in read or _symbols(graph.type_of(value)) & (_sizes(graph) - told)
            )
        return self._places[key]

    def _read_values(self, node: Node) -> list[Value | None]:
        match node.payload:
            case Once():
                return []
            case Call(_, method, definition):
                places = self.looks_at(definition, method)
            case Repeat(_, method, definitions):
                layers = dict.fromkeys(definitions)
                places = frozenset({0}).union(*(self.looks_at(layer, method) for layer in layers))
            case _:
                return list(node.inputs)
        return [value for place, value in enumerate(node.inputs) if place in places]


def _sizes(graph: Graph) -> frozenset[str]:
    """Run-time sizes that the steps of a method may have to know."""
    steps = (node for node in graph.nodes if not isinstance(node.payload, Input | Once))
    return frozenset().union(*(_symbols(kind) for node in steps for kind in node.types))


def _told(graph: Graph, inputs: list[Value]) -> frozenset[str]:
    """Run-time sizes that some inputs, or what is kept, have as an axis."""
    kept = (kind for node in graph.nodes if isinstance(node.payload, Once) for kind in node.types)
    kinds = [*map(graph.type_of, inputs), *kept]
    names = [axis.symbols() for kind in kinds for axis in kind.shape if isinstance(axis, Dim)]
    return frozenset().union(*(found for found in names if len(found) == 1))


def _symbols(kind: TensorType) -> frozenset[str]:
    names = [{axis.name} if isinstance(axis, Rest) else axis.symbols() for axis in kind.shape]
    return frozenset().union(*names)
