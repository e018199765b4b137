"""Expressions: compile-time numbers and values of the graph under construction, by one evaluator.

`evaluate(expression, context)` gives a language value (`sema/values.py`) or `POISON` after reporting. Every whole
number carries the derivation of its value.
"""

import operator as python_operator
from collections.abc import Callable
from typing import assert_never

from lmmdsl.diag.codes.names import UnknownMember, UnknownName
from lmmdsl.diag.codes.shapes import IndexOutOfRange, NotDivisible
from lmmdsl.diag.codes.types import BadValue, WrongKind
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.graph.ir import Instance, Param, Part, Stack
from lmmdsl.sema import calls
from lmmdsl.sema.context import MAX_ITEMS, Context, Thunk
from lmmdsl.sema.values import (
    POISON,
    Called,
    Made,
    MethodRef,
    ParamRef,
    PartRef,
    Poison,
    Scope,
    Tensor,
    describe,
    show,
)
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, Rest, TensorType

MAX_NUMBER = 2**62
_ARITHMETIC = {"+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow", "@": "matmul"}
_COMPARE: dict[str, Callable[[object, object], bool]] = {
    "==": python_operator.eq,
    "!=": python_operator.ne,
    "<": python_operator.lt,
    "<=": python_operator.le,
    ">": python_operator.gt,
    ">=": python_operator.ge,
}
_TENSOR_OPS = _ARITHMETIC | {
    "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "and": "logical_and", "or": "logical_or",
}  # fmt: skip


def evaluate(expression: ast.Expr, ctx: Context) -> object:
    """The value of an expression."""
    ctx.state.step(expression.span)
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


def number(value: object, what: str, at: Span, ctx: Context) -> int | None:
    """A known whole number, or None after reporting E0303."""
    if isinstance(value, Dim) and value.is_const:
        return value.value
    if not isinstance(value, Poison):
        ctx.sink.add(WrongKind(at=at, what=what, wanted="a whole number", found=describe(value)))
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
        return _because(definition.binding[name], f"{part.path}.{name}", at)
    if name in definition.values:
        return _because(definition.values[name], f"{part.path}.{name}", at)
    if name in definition.parts:
        return part_value(definition.parts[name], part.path + ".")
    if name in definition.methods:
        return MethodRef(part, name)
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


def part_value(part: Part, prefix: str = "", role: str | None = None) -> PartRef | ParamRef:
    """The value of a part's name."""
    match part:
        case Param():
            return ParamRef(prefix + part.name, TensorType(DType.FLOAT, part.shape))
        case Instance():
            return PartRef(prefix + part.name, (part.definition,), False, part.span, role)
        case Stack():
            return PartRef(prefix + part.name, part.definitions, True, part.span, role)


def _because(value: object, path: str, at: Span) -> object:
    if isinstance(value, Dim) and value.is_const:
        inputs = (value.why,) if value.why else ()
        return value.because(Why(f"{path} = {value}", value.why.span if value.why else at, inputs))
    return value


# ---- operators ------------------------------------------------------------------------------------------------------


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
            what=f"`{expression.operator}`",
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
    if operator == "*" and (repeated := _repeat(left, right, expression, ctx)) is not None:
        return repeated
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if operator in _TENSOR_OPS:
            return calls.apply(_TENSOR_OPS[operator], [left, right], {}, expression.span, ctx)
        left = right = None  # `//`, `%` and `..` are for numbers
    return _constant(operator, left, right, expression, ctx)


def _repeat(left: object, right: object, expression: ast.Binary, ctx: Context) -> object | None:
    """`depth * Layer(...)`: a stack."""
    made = right if isinstance(right, Made) else left if isinstance(left, Made) else None
    if made is None:
        return None
    count = left if made is right else right
    times = number(count, "the number of layers", expression.span, ctx)
    if times is None:
        return POISON
    if not 1 <= times <= MAX_ITEMS:
        at = expression.left.span if made is right else expression.right.span
        ctx.sink.add(
            BadValue(
                at=at, what=f"{times} layers", problem=f"a stack holds 1 to {MAX_ITEMS} layers"
            )
        )
        return POISON
    return (made,) * times


def _constant(
    operator: str, left: object, right: object, expression: ast.Binary, ctx: Context
) -> object:
    at = expression.span
    if operator in ("==", "!=") and left is not None:
        same = _plain(left) == _plain(right) and type(_plain(left)) is type(_plain(right))
        return same == (operator == "==")
    if operator in ("==", "!="):
        return (right is None) == (operator == "==")
    if operator in ("and", "or") and isinstance(left, bool) and isinstance(right, bool):
        return left and right if operator == "and" else left or right
    if operator == ".." and isinstance(left, Dim) and isinstance(right, Dim):
        return _range(left, right, at, ctx)
    if operator == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return left + right
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    numbers = all(isinstance(value, Dim | float) for value in (left, right))
    if numbers and operator in _COMPARE:
        return _order(operator, left, right, at, ctx)
    if numbers and isinstance(left, Dim) and isinstance(right, Dim):
        return _whole(operator, left, right, expression, ctx)
    if numbers and operator != "@":
        return _fraction(operator, left, right, at, ctx)
    found = f"{describe(left)} and {describe(right)}"
    ctx.sink.add(WrongKind(at=at, what=f"`{operator}`", wanted="two numbers", found=found))
    return POISON


def _plain(value: object) -> object:
    return value.value if isinstance(value, Dim) and value.is_const else value


def _range(left: Dim, right: Dim, at: Span, ctx: Context) -> object:
    first, last = number(left, "a range", at, ctx), number(right, "a range", at, ctx)
    if first is None or last is None:
        return POISON
    if last - first > MAX_ITEMS:
        ctx.sink.add(
            BadValue(
                at=at, what=f"{last - first} steps", problem=f"a range has at most {MAX_ITEMS}"
            )
        )
        return POISON
    return tuple(Dim.of(item, Why(str(item), at)) for item in range(first, last))


def _order(operator: str, left: object, right: object, at: Span, ctx: Context) -> object:
    plain = (_plain(left), _plain(right))
    if any(isinstance(value, Dim) for value in plain):
        found = f"{left} and {right}"
        ctx.sink.add(WrongKind(at=at, what=f"`{operator}`", wanted="known numbers", found=found))
        return POISON
    return _COMPARE[operator](*plain)


def _whole(operator: str, left: Dim, right: Dim, expression: ast.Binary, ctx: Context) -> object:
    at = expression.span
    if operator in ("//", "%", "/") and right == Dim.of(0):
        ctx.sink.add(BadValue(at=at, what=f"`{operator} 0`", problem="division by zero"))
        return POISON
    match operator:
        case "+":
            result: Dim | None = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "//":
            result = left // right
        case "%":
            result = left % right
        case "**":
            return _power(left, right, at, ctx)
        case _:
            result = left.divide(right)
    if result is None:
        ctx.sink.add(
            NotDivisible(at=at, what=expression.left.span.text, number=left, divisor=right)
        )
        return POISON
    if result.is_const and abs(result.value) > MAX_NUMBER:
        ctx.sink.add(BadValue(at=at, what="the result", problem="is larger than 2**62"))
        return POISON
    causes = tuple(dim.why for dim in (left, right) if dim.why)
    return result.because(Why(f"{left} {operator} {right} = {result}", at, causes))


def _power(left: Dim, right: Dim, at: Span, ctx: Context) -> object:
    base, exponent = number(left, "a power", at, ctx), number(right, "a power", at, ctx)
    if base is None or exponent is None:
        return POISON
    if exponent < 0:
        return float(base) ** exponent if base else POISON
    if base.bit_length() * exponent > 62:
        ctx.sink.add(BadValue(at=at, what="the power", problem="is larger than 2**62"))
        return POISON
    return Dim.of(base**exponent, Why(f"{base} ** {exponent} = {base**exponent}", at))


def _fraction(operator: str, left: object, right: object, at: Span, ctx: Context) -> object:
    plain = [_plain(value) for value in (left, right)]
    actions: dict[str, Callable[[float, float], float]] = {
        "+": python_operator.add, "-": python_operator.sub, "*": python_operator.mul,
        "/": python_operator.truediv, "//": python_operator.floordiv,
        "%": python_operator.mod, "**": python_operator.pow,
    }  # fmt: skip
    if any(isinstance(value, Dim) for value in plain):
        ctx.sink.add(
            WrongKind(at=at, what=f"`{operator}`", wanted="known numbers", found=f"{left}, {right}")
        )
        return POISON
    try:
        result = actions[operator](float(plain[0]), float(plain[1]))  # type: ignore[arg-type]
    except (ArithmeticError, ValueError) as error:
        ctx.sink.add(BadValue(at=at, what=f"`{operator}`", problem=str(error)))
        return POISON
    return result if isinstance(result, float) else POISON


# ---- indexing, lists, calls -----------------------------------------------------------------------------------------


def index(base: object, expression: ast.IndexExpr, ctx: Context) -> object:
    """`list[k]`, `tensor[a:b, k]`.

    Reports:
        E0404 for an index outside a list.
    """
    base = calls.as_tensor_if_param(base, ctx, expression.base.span)
    if isinstance(base, Poison):
        return POISON
    if isinstance(base, Called):
        base = base.result
    if isinstance(base, Tensor):
        return _tensor_index(base, expression, ctx)
    if isinstance(base, tuple) and len(expression.items) == 1:
        return _list_index(base, expression.items[0], expression, ctx)
    ctx.sink.add(
        WrongKind(
            at=expression.span, what="`[ ]`", wanted="a list or a tensor", found=describe(base)
        )
    )
    return POISON


def _list_index(
    items: tuple[object, ...], at: ast.Expr | ast.SliceExpr, expression: ast.IndexExpr, ctx: Context
) -> object:
    if isinstance(at, ast.SliceExpr):
        bounds = [_bound(bound, ctx) for bound in (at.start, at.stop)]
        if any(isinstance(bound, Poison) for bound in bounds):
            return POISON
        return items[
            slice(*(b.value if isinstance(b, Dim) and b.is_const else None for b in bounds))
        ]
    place = number(evaluate(at, ctx), "an index", at.span, ctx)
    if place is None:
        return POISON
    if not -len(items) <= place < len(items):
        what = expression.base.span.text
        ctx.sink.add(
            IndexOutOfRange(at=at.span, what=what, index=place, length=len(items), why=None)
        )
        return POISON
    return items[place]


def _bound(expression: ast.Expr | None, ctx: Context) -> object:
    return None if expression is None else evaluate(expression, ctx)


def _tensor_index(base: Tensor, expression: ast.IndexExpr, ctx: Context) -> object:
    axis = 0
    for item in expression.items:
        if isinstance(item, ast.SliceExpr):
            start, stop = _bound(item.start, ctx), _bound(item.stop, ctx)
            if start is not None or stop is not None:
                options = {"axis": Dim.of(axis), "start": start, "stop": stop}
                taken = calls.apply("slice", [base], options, expression.span, ctx)
                if not isinstance(taken, Tensor):
                    return POISON
                base = taken
            axis += 1
            continue
        options = {"axis": Dim.of(axis), "index": evaluate(item, ctx)}
        taken = calls.apply("select", [base], options, expression.span, ctx)
        if not isinstance(taken, Tensor):
            return POISON
        base = taken
    return base


def comprehension(expression: ast.Comprehension, ctx: Context) -> object:
    """`[item for name in items if condition]`."""
    items = evaluate(expression.items, ctx)
    if not isinstance(items, tuple):
        if not isinstance(items, Poison):
            at = expression.items.span
            ctx.sink.add(
                WrongKind(at=at, what="`for`", wanted="a list or a range", found=describe(items))
            )
        return POISON
    results = []
    for item in items:
        inner = ctx.inside(Scope({expression.name: item}, ctx.scope))
        if expression.condition is not None and not truth(expression.condition, inner):
            continue
        results.append(evaluate(expression.item, inner))
    return tuple(results)


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


def axes(
    items: tuple[ast.Expr | ast.RestAxis, ...], ctx: Context, fresh: set[str] | None
) -> tuple[Dim | Rest, ...] | None:
    """Axes of a shape; capitalised names that are not in scope become run-time symbols when `fresh` is given."""
    shape: list[Dim | Rest] = []
    for item in items:
        if isinstance(item, ast.RestAxis):
            shape.append(Rest(item.name))
            continue
        _open_symbols(item, ctx, fresh)
        value = evaluate(item, ctx)
        if not isinstance(value, Dim):
            if not isinstance(value, Poison):
                ctx.sink.add(
                    WrongKind(
                        at=item.span, what="an axis", wanted="a whole number", found=show(value)
                    )
                )
            return None
        if value.is_const and value.value < 0:
            ctx.sink.add(
                BadValue(at=item.span, what=f"axis of size {value}", problem="is negative")
            )
            return None
        shape.append(value)
    return tuple(shape)


def _open_symbols(item: ast.Expr, ctx: Context, fresh: set[str] | None) -> None:
    if isinstance(item, ast.Binary):
        _open_symbols(item.left, ctx, fresh)
        _open_symbols(item.right, ctx, fresh)
    if fresh is not None and isinstance(item, ast.Name) and item.name[0].isupper():
        if not ctx.scope.has(item.name):
            fresh.add(item.name)
            ctx.scope.names[item.name] = Dim.symbol(item.name)


def tensor_type(
    expression: ast.TypeExpr, ctx: Context, fresh: set[str] | None = None
) -> TensorType | None:
    """The type that a signature declares.

    Reports:
        E0303 for an unknown element kind, E0201 for an unknown axis.
    """
    kinds = {None: DType.FLOAT, "float": DType.FLOAT, "int": DType.INT, "bool": DType.BOOL}
    if expression.kind not in kinds:
        ctx.sink.add(
            WrongKind(
                at=expression.span,
                what="an element kind",
                wanted="float, int or bool",
                found=f"`{expression.kind}`",
            )
        )
        return None
    shape = axes(expression.axes, ctx, fresh)
    return None if shape is None else TensorType(kinds[expression.kind], shape, expression.optional)
