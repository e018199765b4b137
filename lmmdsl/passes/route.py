"""Send every token through one of two parts, where the other's result would be thrown away.

`where(mask, expert(x), base(x))` computes both parts for all tokens. Where the parts work on every token by itself,
each needs only its own: the step of a decoder that has no token of a kind then costs nothing for that kind.
Definitions are shared, so each is rewritten once.
"""

from dataclasses import replace

from lmmdsl.graph.ir import Apply, Call, Definition, Graph, Node, Route, Value, distinct
from lmmdsl.graph.program import Program
from lmmdsl.passes.edit import rebuilt, without_idle
from lmmdsl.types.tensor import Rest


def route_program(program: Program) -> Program:
    """The program over definitions that send tokens through the part that they need."""
    return replace(program, root=route(program.root))


def route(root: Definition) -> Definition:
    """The definition with such pairs of parts routed, everywhere below it; itself if there are none."""
    made: dict[Definition, Definition] = {}
    for item in distinct(root):
        made[item] = _routed(rebuilt(item, made))
    return made[root]


def _routed(definition: Definition) -> Definition:
    methods = {name: _with_routes(graph) for name, graph in definition.methods.items()}
    if all(methods[name] is graph for name, graph in definition.methods.items()):
        return definition
    return replace(definition, methods=methods)


def _with_routes(graph: Graph) -> Graph:
    nodes = list(graph.nodes)
    for index, node in enumerate(graph.nodes):
        found = _pair(graph, node)
        if found:
            mask, tokens, one, other = found
            nodes[index] = replace(node, payload=Route(one, other), inputs=(mask, tokens))
    if all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return without_idle(replace(graph, nodes=tuple(nodes)))


def _pair(graph: Graph, node: Node) -> tuple[Value, Value, Call, Call] | None:
    """Mask, tokens and the two parts of `where(mask, one(tokens), other(tokens))`."""
    if not isinstance(node.payload, Apply) or node.payload.op.name != "where":
        return None
    column, *results = node.inputs
    calls = [graph.nodes[value.node] for value in results if value]
    source = graph.nodes[column.node] if column else None
    if source is None or not isinstance(source.payload, Apply) or len(calls) != len(results):
        return None
    (mask,) = source.inputs if source.payload.op.name == "unsqueeze" else (None,)
    parts = [call.payload for call in calls if isinstance(call.payload, Call)]
    tokens = {call.inputs for call in calls}
    if mask is None or len(parts) != len(calls) or len(tokens) != 1:
        return None
    (given,) = tokens
    alone = len(given) == 1 and all(len(graph.readers()[value]) == 1 for value in results if value)
    first, second = parts
    if given[0] is None or not alone or not (is_tokenwise(first) and is_tokenwise(second)):
        return None
    if graph.type_of(mask).shape != graph.type_of(given[0]).shape[:-1]:
        return None
    return mask, given[0], first, second


def is_tokenwise(call: Call) -> bool:
    """Whether a part takes `[*b, D]` to `[*b, E]`: with any leading axes, so it cannot mix what lies along them."""
    graph = call.definition.methods[call.method]
    kinds = [graph.type_of(value) for value in (*graph.inputs, *(v for _, v in graph.outputs))]
    shapes = {(kind.shape[0], len(kind.shape)) for kind in kinds if kind.shape}
    return (
        len(kinds) == 2
        and len(shapes) == 1
        and all(isinstance(at, Rest) and n == 2 for at, n in shapes)
    )
