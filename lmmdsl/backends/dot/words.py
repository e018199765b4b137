"""What pictures say about shapes, operations and parts."""

from dataclasses import MISSING, fields

from lmmdsl.backends.dot.signs import SIGNS, TIMES
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Apply, Definition, Graph, Node, Value
from lmmdsl.types.tensor import Axis, DType, TensorType

TOKEN = 4  # numbers of a token, at least


def tokens_of(kind: TensorType) -> tuple[str, ...]:
    """A tensor on an arrow: the number of tokens of `[I, N, D]` first, then the shape."""
    shape = kind.shape if kind.dtype is DType.FLOAT else ()
    if len(shape) == 3 and _is_number(shape[1]) and not _is_place(shape[2]):
        return (f"{shape[1]} token{'' if str(shape[1]) == '1' else 's'}", str(kind))
    if len(shape) == 4:  # rows and columns; of features that stand in the last axis, the first two
        rows, columns = shape[2:] if _is_number(shape[1]) else shape[1:3]
        return (f"{rows} {TIMES} {columns} tokens", str(kind))
    return ("", str(kind))


def picture_of(kind: TensorType) -> tuple[str, ...]:
    """Images `[I, C, H, W]` on an arrow: their height and width first, then the shape."""
    return (f"{kind.shape[2]} {TIMES} {kind.shape[3]}", str(kind))


def _is_place(width: Axis) -> bool:
    """Whether rows are so short that they are points or scores."""
    return isinstance(width, Dim) and width.is_const and width.value < TOKEN


def _is_number(axis: Axis) -> bool:
    return isinstance(axis, Dim) and axis.is_const


def has_tokens(graph: Graph, value: Value) -> bool:
    """Whether the rows of a value are tokens: not those of scores, nor of tokens that were turned around."""
    node = graph.nodes[value.node]
    if not isinstance(node.payload, Apply) or not node.inputs:
        return True
    op = node.payload.op
    if op.name == "rearrange" and _turns(str(getattr(op, "pattern", ""))):
        return False
    source = node.inputs[1 if op.name == "matmul" else 0]  # scores weigh the rows of the second
    return source is None or has_tokens(graph, source)


def _turns(pattern: str) -> bool:
    """Whether the last of three axes becomes another one."""
    before, _, after = pattern.partition("->")
    axes = before.split()
    kept = after[after.rfind("(") :] if after.rstrip().endswith(")") else after.split()[-1]
    return len(axes) == 3 and axes[-1].strip("()") not in kept.strip("() ").split()


def operation(node: Node) -> tuple[str, str]:
    """Name of an operation and its settings that are not the usual ones, on a line of their own."""
    assert isinstance(node.payload, Apply)
    op = node.payload.op
    settings = []
    for item in fields(op):
        value = getattr(op, item.name)
        if item.name != "cache" and (item.default is MISSING or value != item.default):
            settings.append(_setting(item.name, value))
    text = ", ".join(filter(None, settings))
    if op.name == "slice":
        return _slice(node)
    return SIGNS[op.name] if op.name in SIGNS else op.name.replace("_", " "), text


def _slice(node: Node) -> tuple[str, str]:
    """A slice says what it leaves out, beside the way it is written."""
    op = node.payload.op if isinstance(node.payload, Apply) else None
    start, stop = getattr(op, "start", None), getattr(op, "stop", None)
    written = node.span.text if len(node.span.text) <= 24 else ""
    is_head = stop is None and isinstance(start, Dim) and start.is_const and start.value > 0
    if not is_head or not isinstance(start, Dim):
        return "slice", written
    return ("drop first" if start.value == 1 else f"drop first {start}"), written


def _setting(name: str, value: object) -> str:
    match value:
        case True:
            return name
        case False | None | ():
            return ""
        case str():
            return value
        case tuple() if all(isinstance(item, Dim | int) for item in value):
            return f"[{', '.join(map(str, value))}]"
        case tuple():
            return ""
        case _:
            return f"{name} = {value}"


def sizes_of(definition: Definition) -> str:
    """Block with what it maps from and to, where its parameters say so."""
    binding = definition.binding
    if "in" in binding and "out" in binding:
        return f"{definition.block} {binding['in']} \u2192 {binding['out']}"
    if "width" in binding:
        return f"{definition.block}, width {binding['width']}"
    return definition.block
