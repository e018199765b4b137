"""Remove what no result needs: nodes, outputs, layers and parts.

`vision.hidden[-2]` reads the state before the last layer; after this pass the last layer is in no graph and in no
parts list, so it is never built, loaded or exported. Definitions are shared, so each keeps the union of what its
callers need; cost is linear in the distinct definitions.
"""

from dataclasses import replace

from lmmdsl.graph.ir import (
    Call,
    Definition,
    Graph,
    Instance,
    Node,
    Param,
    Part,
    Read,
    Repeat,
    Stack,
    Value,
    distinct,
)

Needs = dict[str, set[str]]  # method -> names of the outputs that some caller reads


class Demand:
    """What is needed of every definition."""

    def __init__(self, root: Definition) -> None:
        self.outputs: dict[int, Needs] = {}
        self.parts: dict[
            int, dict[str, int]
        ] = {}  # part -> number of layers needed (1 for an instance)
        for name, graph in root.methods.items():
            self.need(root, name, {output for output, _ in graph.outputs})
        for definition in reversed(distinct(root)):
            for method in self.outputs.get(id(definition), {}):
                self._trace(definition, definition.methods[method], method)

    def need(self, definition: Definition, method: str, outputs: set[str]) -> None:
        """Some caller reads these outputs."""
        self.outputs.setdefault(id(definition), {}).setdefault(method, set()).update(outputs)

    def needed(self, definition: Definition, method: str) -> set[str]:
        """Outputs of a method that some caller reads."""
        return self.outputs.get(id(definition), {}).get(method, set())

    def live(self, graph: Graph, outputs: set[str]) -> set[Value]:
        """Values that the outputs depend on."""
        found: set[Value] = set()
        waiting = [value for name, value in graph.outputs if name in outputs]
        while waiting:
            value = waiting.pop()
            if value in found:
                continue
            found.add(value)
            waiting.extend(
                source for source in graph.nodes[value.node].inputs if source is not None
            )
        return found

    def _trace(self, definition: Definition, graph: Graph, method: str) -> None:
        live = self.live(graph, self.needed(definition, method))
        for index, node in enumerate(graph.nodes):
            slots = [slot for slot in range(len(node.types)) if Value(index, slot) in live]
            if not slots:
                continue
            match node.payload:
                case Call(part=path, method=called, definition=callee):
                    self._use(definition, path, 1)
                    names = [name for name, _ in callee.methods[called].outputs]
                    self.need(callee, called, {names[slot] for slot in slots})
                case Repeat(part=path, method=called, definitions=layers, states=states):
                    depth = max(states[slot] for slot in slots)
                    self._use(definition, path, depth)
                    for layer in dict.fromkeys(layers[:depth]):
                        self.need(
                            layer, called, {name for name, _ in layer.methods[called].outputs[:1]}
                        )
                case Read(path=path):
                    self._use(definition, path, 1)

    def _use(self, definition: Definition, path: str, count: int) -> None:
        head, _, rest = path.partition(".")
        parts = self.parts.setdefault(id(definition), {})
        part = definition.parts[head]
        if rest and isinstance(part, Stack):  # `layers.2.norm`: the first three stay
            layer, _, inner = rest.partition(".")
            parts[head] = max(parts.get(head, 0), int(layer) + 1)
            if inner:
                self._use(part.definitions[int(layer)], inner, count)
            return
        parts[head] = max(parts.get(head, 0), count if not rest else 1)
        if rest and isinstance(part, Instance):
            self._use(part.definition, rest, count)


def prune(root: Definition) -> Definition:
    """The program without what its methods never need."""
    demand = Demand(root)
    kept: dict[int, Definition] = {}
    for definition in distinct(root):
        kept[id(definition)] = _rebuild(definition, demand, kept)
    return kept[id(root)]


def _rebuild(definition: Definition, demand: Demand, kept: dict[int, Definition]) -> Definition:
    used = demand.parts.get(id(definition), {})
    parts = {
        name: _part(part, used[name], kept)
        for name, part in definition.parts.items()
        if name in used
    }
    methods = {
        name: _graph(graph, demand, demand.needed(definition, name), kept)
        for name, graph in definition.methods.items()
        if demand.needed(definition, name)
    }
    return replace(definition, parts=parts, methods=methods)


def _part(part: Part, count: int, kept: dict[int, Definition]) -> Part:
    match part:
        case Param():
            return part
        case Instance():
            return replace(part, definition=kept[id(part.definition)])
        case Stack():
            return replace(part, definitions=tuple(kept[id(d)] for d in part.definitions[:count]))


def _graph(graph: Graph, demand: Demand, outputs: set[str], kept: dict[int, Definition]) -> Graph:
    live = demand.live(graph, outputs)
    moved: dict[Value, Value] = {}
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        slots = [slot for slot in range(len(node.types)) if Value(index, slot) in live]
        if not slots and Value(index) not in graph.inputs:
            continue
        node, slots = _node(node, slots, demand, kept)
        for place, slot in enumerate(slots):
            moved[Value(index, slot)] = Value(len(nodes), place)
        nodes.append(replace(node, inputs=tuple(moved[v] if v else None for v in node.inputs)))
    return replace(
        graph,
        nodes=tuple(nodes),
        inputs=tuple(moved[value] for value in graph.inputs),
        outputs=tuple((name, moved[value]) for name, value in graph.outputs if name in outputs),
    )


def _node(
    node: Node, live: list[int], demand: Demand, kept: dict[int, Definition]
) -> tuple[Node, list[int]]:
    """The node over pruned definitions, and which of its old outputs it still has."""
    payload, slots = node.payload, list(range(len(node.types)))
    match payload:
        case Call(method=method, definition=callee):
            needed = demand.needed(callee, method)
            slots = [
                k for k, (name, _) in enumerate(callee.methods[method].outputs) if name in needed
            ]
            payload = replace(payload, definition=kept[id(callee)])
        case Repeat():
            slots = live
            states = tuple(payload.states[slot] for slot in live)
            layers = tuple(kept[id(d)] for d in payload.definitions[: max(states)])
            payload = replace(payload, states=states, definitions=layers)
    types = tuple(node.types[slot] for slot in slots)
    names = tuple(node.names[slot] for slot in slots) if node.names else ()
    return replace(node, payload=payload, types=types, names=names), slots
