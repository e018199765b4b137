"""Expressions: compile-time numbers and values of the graph under construction, by one evaluator.

`evaluate(expression, context)` gives a language value (`sema/values.py`) or `POISON` after reporting. Every whole
number carries the derivation of its value.
"""

from typing import assert_never

from lmmdsl.diag.codes.names import UnknownMember, UnknownName
from lmmdsl.diag.codes.shapes import IndexOutOfRange
from lmmdsl.diag.codes.types import BadValue, WrongKind
from lmmdsl.dims.expr import Dim, TooComplex, Why
from lmmdsl.graph.ir import Instance, Param, Part, Stack
from lmmdsl.sema import calls
from lmmdsl.sema.context import Context, Thunk
from lmmdsl.sema.derive import because, depth_of
from lmmdsl.sema.operators import constant, number, repeat
from lmmdsl.sema.values import (
    POISON,
    Called,
    Marks,
    MethodRef,
    ParamRef,
    PartRef,
    Poison,
    Scope,
    Tensor,
    describe,
)
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, TensorType

_ARITHMETIC = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floor_div", "%": "remainder",
    "**": "pow", "@": "matmul",
}  # fmt: skip
_TENSOR_OPS = _ARITHMETIC | {
    "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "and": "logical_and", "or": "logical_or",
}  # fmt: skip


def evaluate(expression: ast.Expr, ctx: Context) -> object:
    """The value of an expression.

    Reports:
        E0307 for a size that has grown beyond all bounds.
    """
    ctx.state.step(expression.span)
    try:
        return _value(expression, ctx)
    except TooComplex as error:
        ctx.sink.add(BadValue(at=expression.span, what="the size", problem=str(error)))
        return POISON


def _value(expression: ast.Expr, ctx: Context) -> object:  # noqa: C901  (one case per kind)
    match expression:
        case ast.Literal(value=value):
            return literal(value, expression.span)
        case ast.Name():
            return lookup(expression.name, expression.span, ctx)
        case ast.Member():
            return member(evaluate(expression.base, ctx), expression, ctx)
        case ast.CallExpr():
            return call(expression, ctx)
        case ast.IndexExpr():
            return index(evaluate(expression.base, ctx), expression, ctx)
        case ast.Unary():
            return unary(expression, ctx)
        case ast.Binary():
            return binary(expression, ctx)
        case ast.Choice():
            chosen = truth(expression.condition, ctx)
            if chosen is None:
                return POISON
            return evaluate(expression.yes if chosen else expression.no, ctx)
        case ast.ListExpr():
            return tuple(evaluate(item, ctx) for item in expression.items)
        case ast.Comprehension():
            return comprehension(expression, ctx)
        case _:
            assert_never(expression)


def literal(value: object, span: Span) -> object:
    """A literal; whole numbers remember where they are written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Dim.of(value, Why(str(value), span))
    return value


def lookup(name: str, span: Span, ctx: Context) -> object:
    """The value of a name.

    Reports:
        E0201 for a name that is not in scope.
    """
    if not ctx.scope.has(name):
        ctx.sink.add(UnknownName(at=span, name=name, candidates=ctx.scope.known()))
        return POISON
    value = ctx.scope.find(name)
    return value.force(span) if isinstance(value, Thunk) else value


def truth(condition: ast.Expr, ctx: Context) -> bool | None:
    """A compile-time condition, or None after reporting.

    Reports:
        E0303 when it is not known at compile time or not true or false.
    """
    value = evaluate(condition, ctx)
    if isinstance(value, bool):
        return value
    if not isinstance(value, Poison):
        ctx.sink.add(
            WrongKind(
                at=condition.span, what="a condition", wanted="true or false", found=describe(value)
            )
        )
    return None


# ---- members -------------------------------------------------------------------------------------------------------


def member(base: object, expression: ast.Member, ctx: Context) -> object:
    """`base.name`: a parameter, number, part or method of a part, or an exposed value of a call.

    Reports:
        E0206 when there is no such member.
    """
    name, at = expression.name, expression.name_span
    match base:
        case Poison():
            return POISON
        case PartRef() if not base.stack:
            return _part_member(base, name, at, ctx)
        case PartRef() if all(name in layer.methods for layer in base.definitions):
            return MethodRef(base, name)
        case Called():
            if name in base.exposed:
                return base.exposed[name]
            candidates = tuple(base.exposed)
        case Tensor() | ParamRef() if name == "shape":
            return base.type.shape
        case _:
            candidates = ()
    ctx.sink.add(UnknownMember(at=at, owner=describe(base), name=name, candidates=candidates))
    return POISON


def _part_member(part: PartRef, name: str, at: Span, ctx: Context) -> object:
    definition = part.definitions[0]
    if name in definition.binding:
        return because(definition.binding[name], f"{part.path}.{name}", at)
    if name in definition.values:
        return because(definition.values[name], f"{part.path}.{name}", at)
    if name in definition.parts:
        return part_value(definition.parts[name], part.path + ".")
    if name in definition.methods:
        return MethodRef(part, name)
    if definition.wraps:
        return _part_member(_wrapped(part), name, at, ctx)
    exposed = {out.split(".")[0] for out, _ in calls.outputs_of(definition, "forward")} - {"result"}
    if name in exposed and part.role == "encoder" and ctx.encoder:
        called = ctx.encoder(part, ctx, at)
        return called.exposed[name] if isinstance(called, Called) else POISON
    candidates = (
        *definition.binding,
        *definition.values,
        *definition.parts,
        *definition.methods,
        *exposed,
    )
    ctx.sink.add(
        UnknownMember(
            at=at, owner=f"`{part.path}` ({definition.block})", name=name, candidates=candidates
        )
    )
    return POISON


def _wrapped(part: PartRef) -> PartRef:
    """The part that an injection wrapped, seen from the block that holds the wrapper."""
    definition = part.definitions[0]
    inner = part_value(definition.parts[definition.wraps], part.path + ".", part.role)
    assert isinstance(inner, PartRef)
    return inner


def part_value(part: Part, prefix: str = "", role: str | None = None) -> PartRef | ParamRef:
    """The value of a part's name."""
    match part:
        case Param():
            return ParamRef(prefix + part.name, TensorType(DType.FLOAT, part.shape))
        case Instance():
            return PartRef(prefix + part.name, (part.definition,), False, part.span, role)
        case Stack():
            return PartRef(prefix + part.name, part.definitions, True, part.span, role)


# ---- operators ---------------------------------------------------------------------


def unary(expression: ast.Unary, ctx: Context) -> object:
    """`-x`, `+x`, `not x`."""
    value = calls.as_tensor_if_param(evaluate(expression.operand, ctx), ctx, expression.span)
    if isinstance(value, Poison):
        return POISON
    if isinstance(value, Tensor):
        name = {"-": "neg", "not": "logical_not"}.get(expression.operator)
        return calls.apply(name, [value], {}, expression.span, ctx) if name else value
    if expression.operator == "not" and isinstance(value, bool):
        return not value
    if expression.operator != "not" and isinstance(value, Dim | float):
        return value if expression.operator == "+" else -value
    ctx.sink.add(
        WrongKind(
            at=expression.span,
            what=f"the operand of `{expression.operator}`",
            wanted="a number",
            found=describe(value),
        )
    )
    return POISON


def binary(expression: ast.Binary, ctx: Context) -> object:
    """Every operator between two expressions."""
    operator = expression.operator
    if operator == "|>":
        return pipe(expression, ctx)
    left = calls.as_tensor_if_param(evaluate(expression.left, ctx), ctx, expression.left.span)
    if operator in ("and", "or") and isinstance(left, bool) and left == (operator == "or"):
        return left
    right = calls.as_tensor_if_param(evaluate(expression.right, ctx), ctx, expression.right.span)
    if isinstance(left, Poison) or isinstance(right, Poison):
        return POISON
    if operator == "*" and (repeated := repeat(left, right, expression, ctx)) is not None:
        return repeated
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if operator in _TENSOR_OPS:
            return calls.apply(_TENSOR_OPS[operator], [left, right], {}, expression.span, ctx)
        left = right = None  # `..` is for numbers
    return constant(operator, left, right, expression, ctx)


# ---- indexing, lists, calls -----------------------------------------------------------------------------------------


def index(base: object, expression: ast.IndexExpr, ctx: Context) -> object:
    """`list[k]`, `stack[k]`, `tensor[a:b, k]`.

    Reports:
        E0404 for an index outside a list.
    """
    base = calls.as_tensor_if_param(base, ctx, expression.base.span)
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, Marks):
        return _marked_rows(base, expression, ctx)
    if isinstance(base, Tensor):
        return _tensor_index(base, expression, ctx)
    if isinstance(base, PartRef) and base.stack:
        base = base.layers
    if isinstance(base, tuple) and len(expression.items) == 1:
        return _list_index(base, expression.items[0], expression, ctx)
    ctx.sink.add(
        WrongKind(
            at=expression.span,
            what="what `[ ]` indexes",
            wanted="a list or a tensor",
            found=describe(base),
        )
    )
    return POISON


def _list_index(
    items: tuple[object, ...], at: ast.Expr | ast.SliceExpr, expression: ast.IndexExpr, ctx: Context
) -> object:
    if isinstance(at, ast.SliceExpr):
        bounds = [evaluate(bound, ctx) if bound else None for bound in (at.start, at.stop)]
        if any(isinstance(bound, Poison) for bound in bounds):
            return POISON
        start, stop = (b.value if isinstance(b, Dim) and b.is_const else None for b in bounds)
        return items[start:stop]
    place = number(evaluate(at, ctx), "an index", at.span, ctx)
    if place is None:
        return POISON
    if not -len(items) <= place < len(items):
        what = expression.base.span.text
        ctx.sink.add(
            IndexOutOfRange(
                at=at.span, what=what, index=place, length=len(items), why=_length(expression, ctx)
            )
        )
        return POISON
    return items[place]


def _length(expression: ast.IndexExpr, ctx: Context) -> Dim | None:
    """The depth that decides how many states a part exposes, for `part.states[k]`."""
    base = expression.base
    part = evaluate(base.base, ctx) if isinstance(base, ast.Member) else None
    if not isinstance(part, PartRef):
        return None
    definition = part.definitions[0]
    stacks = [part for part in definition.parts.values() if isinstance(part, Stack)]
    return depth_of(definition, stacks[0]) if len(stacks) == 1 else None


def _tensor_index(base: Tensor, expression: ast.IndexExpr, ctx: Context) -> object:
    axis = 0
    for item in expression.items:
        taken: object = base
        if isinstance(item, ast.SliceExpr):
            start, stop = (evaluate(end, ctx) if end else None for end in (item.start, item.stop))
            if start is not None or stop is not None:
                options = {"axis": Dim.of(axis), "start": start, "stop": stop}
                taken = calls.apply("slice", [base], options, expression.span, ctx)
            axis += 1
        else:
            options = {"axis": Dim.of(axis), "index": evaluate(item, ctx)}
            taken = calls.apply("select", [base], options, expression.span, ctx)
        if not isinstance(taken, Tensor):
            return POISON
        base = taken
    return base


def _marked_rows(marks: Marks, expression: ast.IndexExpr, ctx: Context) -> object:
    """`<image>[a:b]`, `<image>[k]`: some rows of every image."""
    rows = tuple(map(Dim.of, range(marks.rows or 0)))
    if len(expression.items) != 1:
        what, found = f"the rows of `{marks.token}`", f"{len(expression.items)} of them"
        ctx.sink.add(WrongKind(at=expression.span, what=what, wanted="one index", found=found))
        return POISON
    chosen = _list_index(rows, expression.items[0], expression, ctx)
    picked = chosen if isinstance(chosen, tuple) else (chosen,)
    numbers = [row.value for row in picked if isinstance(row, Dim)]
    if len(numbers) < len(picked):
        return POISON
    start = numbers[0] if numbers else 0
    return marks.pick(start, start + len(numbers), expression.span)


def loop_items(expression: ast.Expr, ctx: Context) -> tuple[object, ...] | None:
    """What `for` runs over; None where that is no list (E0303)."""
    items = evaluate(expression, ctx)
    if isinstance(items, tuple):
        return items
    if not isinstance(items, Poison):
        what, wanted, found = "what `for` runs over", "a list or a range", describe(items)
        ctx.sink.add(WrongKind(at=expression.span, what=what, wanted=wanted, found=found))
    return None


def comprehension(expression: ast.Comprehension, ctx: Context) -> object:
    """`[item for name in items if condition]`."""
    items = loop_items(expression.items, ctx)
    if items is None:
        return POISON
    wanted = expression.condition
    scopes = (ctx.inside(Scope({expression.name: item}, ctx.scope)) for item in items)
    return tuple(
        evaluate(expression.item, inner)
        for inner in scopes
        if wanted is None or truth(wanted, inner)
    )


def arguments(
    items: tuple[ast.Argument, ...], ctx: Context
) -> tuple[list[object], dict[str, object]]:
    """Positional and named arguments of a call, evaluated."""
    positional = [evaluate(item.value, ctx) for item in items if item.name is None]
    return positional, {item.name: evaluate(item.value, ctx) for item in items if item.name}


def call(expression: ast.CallExpr, ctx: Context) -> object:
    """`f(a, b = c)`."""
    function = evaluate(expression.function, ctx)
    positional, named = arguments(expression.arguments, ctx)
    return calls.call(function, positional, named, expression, ctx)


def pipe(expression: ast.Binary, ctx: Context) -> object:
    """`x |> f` and `x |> f(a)`: the left side becomes the first argument."""
    left = evaluate(expression.left, ctx)
    right = expression.right
    if isinstance(right, ast.CallExpr):
        function = evaluate(right.function, ctx)
        positional, named = arguments(right.arguments, ctx)
        return calls.call(function, [left, *positional], named, right, ctx)
    return calls.call(evaluate(right, ctx), [left], {}, right, ctx)
