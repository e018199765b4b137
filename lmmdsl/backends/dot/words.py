"""What pictures say about shapes, operations and parts."""

from dataclasses import MISSING, fields

from lmmdsl.backends.dot.figure import Line
from lmmdsl.backends.dot.signs import SIGNS, TIMES
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Apply, Definition, Graph, Instance, Node, Param, Stack, Value
from lmmdsl.graph.program import Program
from lmmdsl.passes.count import Parameters
from lmmdsl.text.amount import short
from lmmdsl.types.tensor import Axis, DType, TensorType

MAX_LINES = 6


def tokens_of(kind: TensorType) -> tuple[str, ...]:
    """A tensor on an arrow: the number of tokens of `[I, N, D]` first, then the shape."""
    shape = kind.shape if kind.dtype is DType.FLOAT else ()
    if len(shape) == 3 and isinstance(shape[1], Dim) and shape[1].is_const:
        return (f"{shape[1]} token{'' if shape[1].value == 1 else 's'}", str(kind))
    if len(shape) == 4:  # rows and columns; of features that stand in the last axis, the first two
        rows, columns = shape[2:] if _is_number(shape[1]) else shape[1:3]
        return (f"{rows} {TIMES} {columns} tokens", str(kind))
    return (str(kind),)


def picture_of(kind: TensorType) -> tuple[str, ...]:
    """Images `[I, C, H, W]` on an arrow: their height and width first, then the shape."""
    return (f"{kind.shape[2]} {TIMES} {kind.shape[3]}", str(kind))


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


def lines_of(declared: Definition, used: Definition, counts: Parameters) -> tuple[Line, ...]:
    """The inside of a part, repeats folded; what no result needs is muted."""
    lines: list[Line] = []
    for part in declared.parts.values():
        match part:
            case Instance():
                lines.append(_instance(part, used, counts))
            case Stack():
                lines.extend(_stack(part, used, counts))
    params = [part.name for part in declared.parts.values() if isinstance(part, Param)]
    own = [name for name in params if name in used.parts]
    if own and lines:
        amount = sum(counts.of_part(declared.parts[name]).total for name in own)
        lines.insert(0, Line(", ".join(own), short(amount)))
    idle = [name for name in params if name not in used.parts]
    lines += [Line(f"{name}: not used", is_muted=True) for name in idle if lines]
    return tuple(lines[:MAX_LINES]) if len(lines) <= MAX_LINES else _fewer(lines)


def woven_lines(program: Program, part: str) -> tuple[Line, ...]:
    """What injections add below a part, one line each."""
    found = []
    for item in program.injections:
        if item.paths and item.paths[0].partition(".")[0] == part:
            where = item.selector.partition(".")[2] or item.selector
            where = f"{where} on {item.token}" if item.token else where
            count = f"{len(item.paths)} {TIMES}" if len(item.paths) > 1 else ""
            found.append(Line(f"{item.what} {item.verb} {where}", "", count))
    return tuple(found)


def _fewer(lines: list[Line]) -> tuple[Line, ...]:
    """Keep stacks and the first of the rest."""
    room = MAX_LINES - 1 - sum(bool(line.count) for line in lines)
    kept: list[Line] = []
    for line in lines:
        if line.count:
            kept.append(line)
        elif room > 0:
            kept.append(line)
            room -= 1
    return (*kept, Line(f"and {len(lines) - len(kept)} more", is_muted=True))


def _instance(part: Instance, used: Definition, counts: Parameters) -> Line:
    if part.name not in used.parts:
        return Line(f"{part.name}: not used", is_muted=True)
    return Line(part.name, short(counts.of(part.definition).total))


def _stack(part: Stack, used: Definition, counts: Parameters) -> list[Line]:
    live = used.parts.get(part.name)
    depth = len(live.definitions) if isinstance(live, Stack) else 0
    lines = []
    if depth:
        layers = part.definitions[:depth]
        names = " | ".join(dict.fromkeys(layer.block for layer in layers))
        each = f"{short(counts.of(layers[0]).total)} each" if len(set(layers)) == 1 else ""
        lines.append(Line(names, each, f"{depth} {TIMES}"))
    idle = len(part.definitions) - depth
    if idle:
        text = "last layer: not used" if idle == 1 else f"last {idle} layers: not used"
        lines.append(Line(text, is_muted=True))
    return lines


def sizes_of(definition: Definition) -> str:
    """Block with what it maps from and to, where its parameters say so."""
    binding = definition.binding
    if "in" in binding and "out" in binding:
        return f"{definition.block} {binding['in']} \u2192 {binding['out']}"
    if "width" in binding:
        return f"{definition.block}, width {binding['width']}"
    return definition.block
