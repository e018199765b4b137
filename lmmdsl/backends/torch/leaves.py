"""Leaves: blocks that are nothing but one `torch.nn` module.

A block whose parts are all parameters and whose only method applies one operation to its argument
and those parameters is emitted as the module of that operation (`self.up = nn.Linear(1024, 4096)`).
"""

from lmmdsl.graph.ir import Apply, Definition, Graph, Input, Node, Param, Read


def leaf_module(definition: Definition) -> str | None:
    """The `torch.nn` constructor call of a leaf, or None for any other definition."""
    params = definition.parts.values()
    graph = definition.methods.get("forward")
    if not graph or len(definition.methods) != 1 or not params:
        return None
    node = _only_apply(graph)
    if node is None or not isinstance(node.payload, Apply):
        return None
    shapes = {part.name: part.shape for part in params if isinstance(part, Param) and part.trained}
    read = {n.payload.path for n in graph.nodes if isinstance(n.payload, Read)}
    if (
        len(shapes) != len(definition.parts)
        or read != set(shapes)
        or not read <= {"weight", "bias"}
    ):
        return None
    return node.payload.op.torch_module(shapes)


def _only_apply(graph: Graph) -> Node | None:
    applied = [node for node in graph.nodes if not isinstance(node.payload, Input | Read)]
    if len(applied) != 1 or len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    node = applied[0]
    first = node.inputs[0] if node.inputs else None
    is_result = graph.nodes[graph.outputs[0][1].node] is node
    return node if first == graph.inputs[0] and is_result and _in_place(graph, node) else None


def _in_place(graph: Graph, node: Node) -> bool:
    """Whether weight and bias stand where the operation wants them."""
    rest = [graph.nodes[value.node].payload for value in node.inputs[1:] if value is not None]
    return [getattr(payload, "path", "") for payload in rest] in (["weight"], ["weight", "bias"])
