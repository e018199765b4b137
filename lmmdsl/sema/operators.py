"""Operators on compile-time values: numbers that remember their derivation, words, lists, stacks."""

import operator as python_operator
from collections.abc import Callable
from math import isfinite
from typing import Any

from lmmdsl.diag.codes.shapes import NotDivisible
from lmmdsl.diag.codes.types import BadValue, WrongKind
from lmmdsl.dims.expr import ZERO, Dim, Why
from lmmdsl.sema.context import MAX_ITEMS, Context
from lmmdsl.sema.values import POISON, Made, Poison, describe
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span

MAX_NUMBER = 2**62
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": python_operator.eq,
    "!=": python_operator.ne,
    "<": python_operator.lt,
    "<=": python_operator.le,
    ">": python_operator.gt,
    ">=": python_operator.ge,
}


def number(value: object, what: str, at: Span, ctx: Context) -> int | None:
    """A known whole number, or None after reporting E0303."""
    if isinstance(value, Dim) and value.is_const:
        return value.value
    if not isinstance(value, Poison):
        ctx.sink.add(WrongKind(at=at, what=what, wanted="a whole number", found=describe(value)))
    return None


def repeat(left: object, right: object, expression: ast.Binary, ctx: Context) -> object | None:
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
                at=at,
                what=f"a stack of {times} layers",
                problem=f"is not possible: a stack holds 1 to {MAX_ITEMS}",
                sizes=(count,) if isinstance(count, Dim) else (),
            )
        )
        return POISON
    return (made,) * times


def constant(
    operator: str, left: object, right: object, expression: ast.Binary, ctx: Context
) -> object:
    """An operator between two compile-time values.

    Reports:
        E0303 when it does not apply to their kinds; E0307 and E0403 for numbers that it cannot take.
    """
    at = expression.span
    if operator in ("==", "!="):
        same = _same(operator, left, right, at, ctx)
        return POISON if same is None else same == (operator == "==")
    if operator in ("and", "or") and isinstance(left, bool) and isinstance(right, bool):
        return left and right if operator == "and" else left or right
    if operator == ".." and isinstance(left, Dim) and isinstance(right, Dim):
        return _range(left, right, at, ctx)
    if operator == "+" and isinstance(left, tuple) and isinstance(right, tuple):
        return _short(left + right, at, ctx)
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return _short(left + right, at, ctx)
    numbers = all(isinstance(value, Dim | float) for value in (left, right))
    if numbers and operator in _COMPARE:
        return _order(operator, left, right, at, ctx)
    if numbers and isinstance(left, Dim) and isinstance(right, Dim):
        return _whole(operator, left, right, expression, ctx)
    if numbers and operator != "@":
        return _fraction(operator, left, right, at, ctx)
    found = f"{describe(left)} and {describe(right)}"
    ctx.sink.add(
        WrongKind(at=at, what=f"the operands of `{operator}`", wanted="two numbers", found=found)
    )
    return POISON


def _short(joined: tuple[object, ...] | str, at: Span, ctx: Context) -> object:
    """A joined list or string within the limit."""
    ctx.state.step(at, len(joined))
    if len(joined) <= MAX_ITEMS:
        return joined
    what = "the string" if isinstance(joined, str) else "the list"
    ctx.sink.add(BadValue(at=at, what=what, problem=f"has more than {MAX_ITEMS} items"))
    return POISON


def _same(operator: str, left: object, right: object, at: Span, ctx: Context) -> bool | None:
    """Whether two values are equal; sizes that are not known yet must be so, or not, whatever they are."""
    if not all(isinstance(value, Dim | float) for value in (left, right)):
        return type(left) is type(right) and left == right
    gap = left - right if isinstance(left, Dim) and isinstance(right, Dim) else None
    if gap is not None and gap.is_const:
        return gap == ZERO
    return None if (one := _known(operator, left, right, at, ctx)) is None else one[0] == one[1]


def _plain(value: object) -> object:
    return value.value if isinstance(value, Dim) and value.is_const else value


def _range(left: Dim, right: Dim, at: Span, ctx: Context) -> object:
    first, last = number(left, "a range", at, ctx), number(right, "a range", at, ctx)
    if first is None or last is None:
        return POISON
    if last - first > MAX_ITEMS:
        ctx.sink.add(
            BadValue(
                at=at,
                what=f"a range of {last - first} steps",
                problem=f"is too long: it has at most {MAX_ITEMS}",
                sizes=(left, right),
            )
        )
        return POISON
    ctx.state.step(at, max(last - first, 0))
    return tuple(Dim.of(item, Why(str(item), at)) for item in range(first, last))


def _order(operator: str, left: object, right: object, at: Span, ctx: Context) -> object:
    known = _known(operator, left, right, at, ctx)
    return POISON if known is None else _COMPARE[operator](*known)


def _known(
    operator: str, left: object, right: object, at: Span, ctx: Context
) -> tuple[float, float] | None:
    """Two numbers, or None after reporting that one of them is known only when the model runs."""
    numbers = [n for n in (_plain(left), _plain(right)) if isinstance(n, int | float)]
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    found, what = f"{left} and {right}", f"the operands of `{operator}`"
    ctx.sink.add(WrongKind(at=at, what=what, wanted="known numbers", found=found))
    return None


def _whole(operator: str, left: Dim, right: Dim, expression: ast.Binary, ctx: Context) -> object:
    at = expression.span
    if operator in ("//", "%", "/") and right == Dim.of(0):
        ctx.sink.add(
            BadValue(at=at, what=f"`{operator} 0`", problem="divides by zero", sizes=(right,))
        )
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
        return _fraction("**", float(base), float(exponent), at, ctx)
    if base.bit_length() * exponent > 62:
        ctx.sink.add(BadValue(at=at, what="the power", problem="is larger than 2**62"))
        return POISON
    return Dim.of(base**exponent, Why(f"{base} ** {exponent} = {base**exponent}", at))


def _fraction(operator: str, left: object, right: object, at: Span, ctx: Context) -> object:
    actions: dict[str, Callable[[float, float], float]] = {
        "+": python_operator.add, "-": python_operator.sub, "*": python_operator.mul,
        "/": python_operator.truediv, "//": python_operator.floordiv,
        "%": python_operator.mod, "**": python_operator.pow,
    }  # fmt: skip
    if (plain := _known(operator, left, right, at, ctx)) is None:
        return POISON
    try:
        result = actions[operator](*map(float, plain))
    except (ArithmeticError, ValueError) as error:
        problem = f"has no value: {error}"
    else:
        if isinstance(result, float) and isfinite(result):
            return result
        problem = "is too large" if isinstance(result, float) else "is no real number"
    ctx.sink.add(BadValue(at=at, what=f"`{left} {operator} {right}`", problem=problem))
    return POISON
