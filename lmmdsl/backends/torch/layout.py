"""Python text as ruff formats it: expressions printed anew, statements within the line length.

Expressions arrive as text of any spacing and bracketing; they are parsed and printed anew, with the
brackets that they need and no others.
"""

import ast
import re
import textwrap

WIDTH = 100

_BINARY: dict[type[ast.operator], tuple[str, int]] = {
    ast.BitOr: ("|", 4),
    ast.BitXor: ("^", 5),
    ast.BitAnd: ("&", 6),
    ast.LShift: ("<<", 7),
    ast.RShift: (">>", 7),
    ast.Add: ("+", 8),
    ast.Sub: ("-", 8),
    ast.Mult: ("*", 9),
    ast.Div: ("/", 9),
    ast.FloorDiv: ("//", 9),
    ast.Mod: ("%", 9),
    ast.MatMult: ("@", 9),
    ast.Pow: ("**", 11),
}
_UNARY: dict[type[ast.unaryop], tuple[str, int]] = {
    ast.Not: ("not ", 2),
    ast.USub: ("-", 10),
    ast.UAdd: ("+", 10),
    ast.Invert: ("~", 10),
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
}
_ATOM = 20

_SHAPE = re.compile(r"(?:\w+ )?(?:\w+ )?\[[^\]]*\],?")  # `x [B, T, 4096],`, `keys bool [B, S]`
_JOINT = "\N{NO-BREAK SPACE}"


def parse(text: str) -> ast.expr:
    """Parse an expression."""
    return ast.parse(text, mode="eval").body


def atomic(text: str) -> str:
    """The expression, in brackets unless it binds tighter than every operator."""
    return text if _rank(parse(text)) == _ATOM else f"({text})"


def tidy(text: str) -> str:
    """Print an expression anew."""
    return show(parse(text))


def _rank(node: ast.expr) -> int:
    match node:
        case ast.IfExp() | ast.Lambda():
            return 0
        case ast.Compare():
            return 3
        case ast.BinOp(op=op):
            return _BINARY[type(op)][1]
        case ast.UnaryOp(op=op):
            return _UNARY[type(op)][1]
        case ast.Constant(value=int() | float() as value) if value < 0:
            return 10
        case _:
            return _ATOM


def show(node: ast.expr, least: int = 0) -> str:
    """Print a node, in brackets where it binds less than `least`."""
    text = _text(node)
    return f"({text})" if _rank(node) < least else text


def _text(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Constant(value=value):
            return quoted(value) if isinstance(value, str) else repr(value)
        case ast.Attribute(value=value, attr=name):
            inner = show(value, _ATOM)
            return f"({inner}).{name}" if inner.isdigit() else f"{inner}.{name}"
        case ast.Call(func=func):
            return f"{show(func, _ATOM)}({', '.join(_arguments(node))})"
        case ast.Subscript(value=ast.Subscript(value=value, slice=first), slice=second) if (
            both := _both(first, second)
        ):
            return f"{show(value, _ATOM)}[{_index(both)}]"
        case ast.Subscript(value=value, slice=index):
            return f"{show(value, _ATOM)}[{_index(index)}]"
        case ast.BinOp():
            return _binary(node)
        case ast.UnaryOp(op=op, operand=operand):
            sign, rank = _UNARY[type(op)]
            return sign + show(operand, rank)
    return _rare_text(node)


def _rare_text(node: ast.expr) -> str:
    match node:
        case ast.Tuple(elts=items):
            inner = ", ".join(map(show, items))
            return f"({inner},)" if len(items) == 1 else f"({inner})"
        case ast.List(elts=items):
            return f"[{', '.join(map(show, items))}]"
        case ast.Starred(value=value):
            return f"*{show(value, 4)}"
        case ast.Compare(left=left, ops=ops, comparators=others):
            pairs = zip(ops, others, strict=True)
            return show(left, 4) + "".join(f" {_COMPARE[type(o)]} {show(x, 4)}" for o, x in pairs)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return f"{show(body, 1)} if {show(test, 1)} else {show(orelse)}"
        case ast.ListComp(elt=element, generators=loops):
            return f"[{' '.join([show(element), *map(_loop, loops)])}]"
    raise TypeError(f"no operation writes such an expression: {ast.dump(node)}")


def quoted(text: str) -> str:
    """A string in double quotes."""
    return '"' + repr(text)[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def _loop(loop: ast.comprehension) -> str:
    return f"for {show(loop.target)} in {show(loop.iter)}"


def _binary(node: ast.BinOp) -> str:
    sign, rank = _BINARY[type(node.op)]
    if isinstance(node.op, ast.Pow):
        simple = all(
            _rank(side) == _ATOM and not isinstance(side, ast.Call)
            for side in (node.left, node.right)
        )
        space = "" if simple else " "
        return f"{show(node.left, rank + 1)}{space}**{space}{show(node.right, rank - 1)}"
    return f"{show(node.left, rank)} {sign} {show(node.right, rank + 1)}"


def _arguments(node: ast.Call) -> list[str]:
    named = [f"{k.arg}={show(k.value)}" if k.arg else f"**{show(k.value)}" for k in node.keywords]
    return [*map(show, node.args), *named]


def _index(node: ast.expr) -> str:
    match node:
        case ast.Tuple(elts=items) if items:
            return ", ".join(map(_index, items)) + ("," if len(items) == 1 else "")
        case ast.Slice(lower=lower, upper=upper, step=step):
            bounds = [bound for bound in (lower, upper, step) if bound]
            simple = all(isinstance(b, ast.Name | ast.Constant | ast.UnaryOp) for b in bounds)
            colon = ":" if simple else " : "
            text = (show(lower) if lower else "") + colon + (show(upper) if upper else "")
            return (text + (colon + show(step) if step else "")).strip()
        case _:
            return show(node)


def _both(first: ast.expr, second: ast.expr) -> ast.expr | None:
    """The one index that does what two in a row do, where the second takes other axes than the first."""
    early, late = (i.elts if isinstance(i, ast.Tuple) else [i] for i in (first, second))
    whole = [isinstance(i, ast.Slice) and not (i.lower or i.upper or i.step) for i in late]
    slices = all(isinstance(item, ast.Slice) for item in early)
    if not slices or len(late) <= len(early) or not all(whole[: len(early)]):
        return None
    return ast.Tuple([*early, *late[len(early) :]], ast.Load())


def statement(head: str, text: str, comment: str = "", *, indent: int) -> list[str]:
    """Lines of `head text  # comment`: the comment goes above, then brackets are broken, where it is too long.

    Args:
        head: what stands before the expression: `x = `, `return `.
        text: the expression.
        comment: what is said of the value.
        indent: columns to indent.
    """
    node = parse(text)
    tail = f"  # {comment}" if comment else ""
    line = f"{' ' * indent}{head}{show(node)}"
    if len(line + tail) <= WIDTH:
        return [line + tail]
    if len(line) <= WIDTH and indent + len(tail) - 2 <= WIDTH:
        return [f"{' ' * indent}{tail.lstrip()}", line]
    match node:
        case ast.Call(func=func, args=[argument], keywords=[]):
            inner = statement("", show(argument), indent=indent + 4)
            return [f"{' ' * indent}{head}{show(func, _ATOM)}(", *inner, f"{' ' * indent}){tail}"]
        case ast.Call(func=func) if node.args or node.keywords:
            start, parts, end = f"{show(func, _ATOM)}(", _arguments(node), ")"
        case ast.List(elts=items) if items:
            start, parts, end = "[", list(map(show, items)), "]"
        case ast.Tuple(elts=items) if items:
            start, parts, end = "(", list(map(show, items)), ")"
        case ast.ListComp(elt=element, generators=loops):
            parts = [show(element), *map(_loop, loops)]
            return _block(f"{head}[", parts, f"]{tail}", indent, "")
        case ast.BinOp():
            return _block(f"{head}(", _operands(node), f"){tail}", indent, "")
        case _:
            return [line]
    one = [" " * (indent + 4) + ", ".join(parts)]
    if len(one[0]) <= WIDTH and not isinstance(node, ast.Tuple | ast.List):
        return [" " * indent + head + start, *one, " " * indent + end + tail]
    return _block(head + start, parts, end + tail, indent, ",")


def _block(start: str, parts: list[str], end: str, indent: int, comma: str) -> list[str]:
    pad = " " * indent
    inner = [line for part in parts for line in _part(part, indent + 4, comma)]
    return [pad + start, *inner, pad + end]


def _part(text: str, indent: int, comma: str) -> list[str]:
    """An argument or element on a line of its own, or on several where it is too long for one."""
    line = f"{' ' * indent}{text}{comma}"
    if len(line) <= WIDTH or not comma or text.startswith("*"):
        return [line]
    name, equals, value = text.partition("=")
    head, value = (name + equals, value) if equals and name.isidentifier() else ("", text)
    lines = statement(head, value, indent=indent)
    return [*lines[:-1], lines[-1] + comma]


def _operands(node: ast.BinOp) -> list[str]:
    sign, rank = _BINARY[type(node.op)]
    left = node.left
    same = isinstance(left, ast.BinOp) and _BINARY[type(left.op)][1] == rank
    before = _operands(left) if same and isinstance(left, ast.BinOp) else [show(left, rank)]
    return [*before, f"{sign} {show(node.right, rank + 1)}"]


def docstring(text: str, *, indent: int) -> list[str]:
    """Lines of a docstring: paragraphs (split at empty lines) wrapped, everything escaped."""
    pad = " " * indent
    lines: list[str] = []
    for number, paragraph in enumerate(_summarised(text.strip(), WIDTH - indent - 6).split("\n\n")):
        width = WIDTH - indent - (6 if number == 0 else 0)
        lines += ["", *_wrapped(paragraph, width)]
    lines = [escape(line) for line in lines[1:]]
    if lines[0].startswith('"'):
        lines[0] = f" {lines[0]}"
    if len(lines) == 1:
        return [f'{pad}"""{_closed(lines[0])}"""']
    lines = [f'"""{lines[0]}', *lines[1:], '"""']
    return [(pad + line).rstrip() for line in lines]


def _summarised(text: str, width: int) -> str:
    """Let the first line stand alone: a long first paragraph of prose is split at the end of a clause."""
    first, gap, rest = text.partition("\n\n")
    first = " ".join(first.split())
    if len(first) <= width or " -> " in first:
        return first + gap + rest
    for mark in (". ", "; ", ": "):
        head, found, _ = first[:width].rpartition(mark)
        if found:
            tail = first[len(head) + len(mark) :]
            return f"{head}.\n\n{tail[:1].upper()}{tail[1:]}{gap}{rest}"
    return text


def _wrapped(paragraph: str, width: int) -> list[str]:
    """Lines of a paragraph; a shape and what it is the shape of stay together."""
    lines: list[str] = []
    for line in paragraph.splitlines():
        inner = " " * (len(line) - len(line.lstrip()))
        text = _SHAPE.sub(lambda match: match[0].replace(" ", _JOINT), line.strip())
        lines += textwrap.wrap(
            text, width, initial_indent=inner, subsequent_indent=inner,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return [line.replace(_JOINT, " ") for line in lines]


def escape(text: str) -> str:
    """Text that cannot end the docstring or comment that it stands in."""
    printable = (
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in text.replace("\\", "\\\\")
    )
    return "".join(printable).replace('"""', '\\"\\"\\"')


def _closed(line: str) -> str:
    return line[:-1] + '\\"' if line.endswith('"') and not line.endswith('\\"') else line
