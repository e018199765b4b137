"""What a decoder keeps from its first step on, as a graph of its own.

A decoder that reads more than tokens (features of images, what an encoder read) computes some values of that alone;
`passes.keep` has found them. Their graph runs `decode` as far as the lasting arguments reach, once per prompt; its
results are inputs of the decoder at every step, under the same names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lmmdsl.backends.onnx.frame import Frame, Kinds, Options, bind, open_axes, open_ranks
from lmmdsl.backends.onnx.walk import Walker, label
from lmmdsl.graph.ir import Call, Definition, Graph, Input, Node, Once, Repeat, Value
from lmmdsl.passes.keep import find
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that a decoder keeps: its name in the graph, its type, and what files call it."""

    value: str
    kind: TensorType
    name: str


class Preparer(Walker):
    """Walks a decoder and writes only what it keeps; `kept` has the values in the order in which it reaches them."""

    def __init__(self, root: Definition, options: Options) -> None:
        super().__init__(root, options)
        self.kept: list[Kept] = []
        self._count = 0
        self._feeds: dict[tuple[Definition, str], frozenset[int]] = {}

    def prepare(self, frame: Frame, method: str, known: Mapping[int, str]) -> None:
        """Write what a method keeps, of arguments that are known by their place."""
        graph = frame.definition.methods[method]
        values: dict[Value, str | None] = {
            graph.inputs[place]: name for place, name in known.items()
        }
        stays = find(graph, frozenset(known)).stays
        for index in sorted(self._wanted(frame.definition, method)):
            if isinstance(graph.nodes[index].payload, Input):
                continue
            if Value(index) in stays:
                self._known(frame, graph, index, values)
            else:
                self._enter(frame, graph, graph.nodes[index], values)

    def feeds(self, definition: Definition, method: str) -> frozenset[int]:
        """Places of the arguments that what a method keeps depends on."""
        key = (definition, method)
        if key not in self._feeds:
            wanted, graph = self._wanted(definition, method), definition.methods[method]
            self._feeds[key] = frozenset(
                place for place, value in enumerate(graph.inputs) if value.node in wanted
            )
        return self._feeds[key]

    def _wanted(self, definition: Definition, method: str) -> set[int]:
        """Nodes that keep something, also below them, and those that they depend on for that."""
        nodes = definition.methods[method].nodes
        sources = {index: self._sources(node) for index, node in enumerate(nodes)}
        found = {index for index, values in sources.items() if values}
        waiting = [value.node for values in sources.values() for value in values]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += [value.node for value in nodes[index].inputs if value]
        return found

    def _sources(self, node: Node) -> list[Value]:
        """What a node needs for the values that it keeps."""
        match node.payload:
            case Once():
                places = frozenset(range(len(node.inputs)))
            case Call(method=method, definition=callee):
                places = self.feeds(callee, method)
            case Repeat(method=method, definitions=layers):
                each = (self.feeds(layer, method) for layer in dict.fromkeys(layers))
                places = frozenset().union(*each)
            case _:
                return []
        return [value for place, value in enumerate(node.inputs) if place in places and value]

    def _known(
        self, frame: Frame, graph: Graph, index: int, values: dict[Value, str | None]
    ) -> None:
        node, mark = graph.nodes[index], len(frame.scope.nodes)
        if isinstance(node.payload, Once):
            names = [None if value is None else values[value] for value in node.inputs]
            results = self.run(frame, node.payload.method, names)
            self._keep(frame, node, results)
        else:
            results = self._step(frame, graph, node, values)
        for slot, name in enumerate(results):
            value = Value(index, slot)
            own = graph.name_of(value)
            values[value] = label(frame, name or "", own, node.types[slot], since=mark)

    def _keep(self, frame: Frame, node: Node, results: tuple[str | None, ...]) -> None:
        names = node.names or ("",) * len(results)
        for slot, (value, kind) in enumerate(zip(results, node.types, strict=True)):
            name = f"kept.{self._count}.{names[slot] or slot}"
            self.kept.append(Kept(value or "", frame.outer(kind), name))
        self._count += 1

    def _enter(
        self, frame: Frame, graph: Graph, node: Node, values: Mapping[Value, str | None]
    ) -> None:
        """Go on inside of a part that some known arguments reach."""
        known: dict[int, str] = {}
        kinds: list[TensorType | None] = []
        for place, value in enumerate(node.inputs):
            name = values.get(value) if value else None
            kinds.append(frame.outer(graph.type_of(value)) if value and name else None)
            if name:
                known[place] = name
        match node.payload:
            case Call(part=part, method=method, definition=callee):
                self._inside(frame, part, callee, method, known, kinds)
            case Repeat(part=part, method=method, definitions=layers):
                for number, layer in enumerate(layers):
                    self._inside(frame, f"{part}.{number}", layer, method, known, kinds)

    def _inside(
        self,
        frame: Frame,
        part: str,
        callee: Definition,
        method: str,
        known: Mapping[int, str],
        kinds: Kinds,
    ) -> None:
        graph = callee.methods[method]
        rests = open_axes(open_ranks(graph, kinds))
        inner = Frame(
            definition=callee,
            scope=frame.scope,
            path=frame.join(part),
            rests=rests,
            sizes=bind(graph, kinds, rests),
        )
        self.prepare(inner, method, known)
