"""What passes that rewrite programs share: other parts below a definition, fewer or reordered steps in a method."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lmmdsl.graph.ir import (
    Call,
    Definition,
    Graph,
    Instance,
    Node,
    Part,
    Repeat,
    Route,
    Stack,
    Value,
)

Made = Mapping[Definition, Definition]


def rebuilt(definition: Definition, made: Made) -> Definition:
    """The definition over the rewritten definitions of its parts; itself if none of them changed."""
    parts = {name: _part(part, made) for name, part in definition.parts.items()}
    if all(parts[name] is part for name, part in definition.parts.items()):
        return definition
    methods = {name: _repointed(graph, made) for name, graph in definition.methods.items()}
    return replace(definition, parts=parts, methods=methods)


def _part(part: Part, made: Made) -> Part:
    match part:
        case Instance(definition=inner) if made[inner] is not inner:
            return replace(part, definition=made[inner])
        case Stack(definitions=layers) if any(made[layer] is not layer for layer in layers):
            return replace(part, definitions=tuple(made[layer] for layer in layers))
    return part


def _repointed(graph: Graph, made: Made) -> Graph:
    return replace(graph, nodes=tuple(_repointed_node(node, made) for node in graph.nodes))


def _repointed_node(node: Node, made: Made) -> Node:
    match node.payload:
        case Call(definition=callee) as call:
            return replace(node, payload=replace(call, definition=made[callee]))
        case Repeat(definitions=layers) as stack:
            renewed = tuple(made[layer] for layer in layers)
            return replace(node, payload=replace(stack, definitions=renewed))
        case Route(one=one, other=other) as route:
            first = replace(one, definition=made[one.definition])
            second = replace(other, definition=made[other.definition])
            return replace(node, payload=replace(route, one=first, other=second))
    return node


def without_idle(graph: Graph, *, all_inputs: bool = True) -> Graph:
    """The method without steps that its outputs do not need; without arguments that they do not, if so wished."""
    live: set[int] = set()
    waiting = [value.node for _, value in graph.outputs]
    while waiting:
        index = waiting.pop()
        if index not in live:
            live.add(index)
            waiting += [value.node for value in graph.nodes[index].inputs if value]
    inputs = tuple(value for value in graph.inputs if all_inputs or value.node in live)
    places = sorted(live | {value.node for value in inputs})
    return reordered(replace(graph, inputs=inputs), places)


def reordered(graph: Graph, places: Sequence[int]) -> Graph:
    """The method with the nodes at these places, in this order."""
    renumbered = {old: new for new, old in enumerate(places)}

    def moved(value: Value) -> Value:
        return Value(renumbered[value.node], value.slot)

    return replace(
        graph,
        nodes=tuple(
            replace(node, inputs=tuple(moved(v) if v else None for v in node.inputs))
            for node in (graph.nodes[place] for place in places)
        ),
        inputs=tuple(map(moved, graph.inputs)),
        outputs=tuple((name, moved(value)) for name, value in graph.outputs),
    )
