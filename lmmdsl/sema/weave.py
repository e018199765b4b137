"""Weaving: parts that injections select give way to blocks that wrap them.

A block with injections below it is elaborated again, so its methods call what now stands in the tree; what a wrapper
needs from outside becomes an argument of every method on the way down from the model. Layers of a stack take the same
arguments, so those without an injection let them pass.
"""

from collections.abc import Callable
from dataclasses import replace

from lmmdsl.graph.ir import Definition, Graph, Input, Instance, Node, Param, Part, Stack, Value
from lmmdsl.sema.plan import Plan
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType

Again = Callable[[Definition, Plan], Definition | None]


def weave(part: Part, plan: Plan, again: Again) -> Part | None:
    """The part with a plan's injections in it, or None after reporting.

    Args:
        part: a part as it was declared.
        plan: the injections at it and below it.
        again: elaborates a definition once more, with the injections below it.
    """
    if not plan:
        return part
    match part:
        case Instance():
            woven = _woven(part.definition, plan, again)
            return replace(part, definition=woven) if woven else None
        case Stack():
            layers = [
                _woven(layer, plan.under(str(index)), again)
                for index, layer in enumerate(part.definitions)
            ]
            made = tuple(layer for layer in layers if layer)
            return replace(part, definitions=level(made)) if len(made) == len(layers) else None
        case Param():
            return part


def _woven(definition: Definition, plan: Plan, again: Again) -> Definition | None:
    below = plan.below()
    woven = again(definition, below) if below else definition
    for wrapper in plan.here():
        woven = wrapper.wrap(woven) if woven else None
    return woven


def outside(graph: Graph) -> dict[str, TensorType]:
    """Arguments of a method that come from outside, by name."""
    return {
        graph.name_of(value): graph.type_of(value)
        for value in graph.inputs
        if _is_outside(graph, value)
    }


def _is_outside(graph: Graph, value: Value) -> bool:
    payload = graph.nodes[value.node].payload
    return isinstance(payload, Input) and payload.outside


def level(layers: tuple[Definition, ...]) -> tuple[Definition, ...]:
    """Layers that take the same arguments from outside in the same order; equal layers stay one object."""
    wanted: dict[str, TensorType] = {}
    for layer in dict.fromkeys(layers):
        if graph := layer.methods.get("forward"):
            wanted |= {name: kind for name, kind in outside(graph).items() if name not in wanted}
    if not wanted:
        return layers
    made = {layer: _accepting(layer, wanted) for layer in dict.fromkeys(layers)}
    return tuple(made[layer] for layer in layers)


def _accepting(layer: Definition, wanted: dict[str, TensorType]) -> Definition:
    graph = layer.methods.get("forward")
    if graph is None or list(outside(graph)) == list(wanted):
        return layer
    missing = {name: kind for name, kind in wanted.items() if name not in outside(graph)}
    nodes = (*graph.nodes, *(_unread(name, kind, graph.span) for name, kind in missing.items()))
    places = {name: Value(len(graph.nodes) + index) for index, name in enumerate(missing)}
    places |= {graph.name_of(v): v for v in graph.inputs if _is_outside(graph, v)}
    own = tuple(value for value in graph.inputs if not _is_outside(graph, value))
    inputs = (*own, *(places[name] for name in wanted))
    return replace(
        layer, methods={**layer.methods, "forward": replace(graph, nodes=nodes, inputs=inputs)}
    )


def _unread(name: str, kind: TensorType, at: Span) -> Node:
    return Node(Input(name, outside=True), (), (kind,), at, (name,))
