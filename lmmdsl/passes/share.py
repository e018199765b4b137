"""Compute the same thing once.

A step that does what an earlier one did, with the same operands, gives way to it: `arange(S)` for keys and again for a
mask, a column of indices for each of two lookups. Steps that write into a cache are left alone. Definitions are
shared, so each is rewritten once.
"""

from dataclasses import replace

from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Node,
    Read,
    Size,
    Value,
    distinct,
)
from lmmdsl.passes.count import Caches, is_cached
from lmmdsl.passes.edit import rebuilt, without_idle


def share(root: Definition) -> Definition:
    """The definition with no step done twice, everywhere below it; itself if there is none."""
    made: dict[Definition, Definition] = {}
    caches = Caches()
    for item in distinct(root):
        made[item] = _shared(rebuilt(item, made), caches)
    return made[root]


def _shared(definition: Definition, caches: Caches) -> Definition:
    methods = {name: _each_once(graph, caches) for name, graph in definition.methods.items()}
    if all(methods[name] is graph for name, graph in definition.methods.items()):
        return definition
    return replace(definition, methods=methods)


def _each_once(graph: Graph, caches: Caches) -> Graph:
    nodes: list[Node] = []
    first: dict[object, int] = {}  # by what a step does: where it is done first
    moved: dict[int, int] = {}

    def source(value: Value) -> Value:
        return Value(moved.get(value.node, value.node), value.slot)

    for index, node in enumerate(graph.nodes):
        node = replace(node, inputs=tuple(source(v) if v else None for v in node.inputs))
        nodes.append(node)
        deed = _deed(node, caches)
        if deed is None or first.setdefault(deed, index) == index:
            continue
        moved[index] = first[deed]
        known = nodes[first[deed]]
        nodes[first[deed]] = replace(known, names=known.names or node.names)
    if not moved:
        return graph
    outputs = tuple((name, source(value)) for name, value in graph.outputs)
    return without_idle(replace(graph, nodes=tuple(nodes), outputs=outputs))


def _deed(node: Node, caches: Caches) -> object:
    """What a step does, as a key; None for one that must be done where it stands."""
    match node.payload:
        case Apply(op=op) if not is_cached(node):
            return repr(op), node.inputs, node.types
        case Call(part=part, method=method, definition=callee) if not caches.of(callee, method):
            return part, method, node.inputs
        case Constant(value=value):
            return repr(value), node.types
        case Read() | Size():
            return node.payload
    return None
