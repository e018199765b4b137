"""Derivations of the sizes that operations make: `24 * 24 = 576`, `577 - 1 = 576`."""

import math
from collections.abc import Sequence
from dataclasses import replace

from lmmdsl.dims.expr import Dim, Why
from lmmdsl.graph.ir import Definition, Stack
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import Rest, TensorType


def derived(kind: TensorType, operands: Sequence[TensorType], at: Span) -> TensorType:
    """Give sizes that an operation made new the sizes that they came from: `24 * 24 = 576`."""
    fresh = [
        axis for axis in kind.shape if isinstance(axis, Dim) and axis.is_const and not axis.why
    ]
    if not fresh:
        return kind
    sources = [axis for operand in operands for axis in operand.shape if isinstance(axis, Dim)]
    causes = [axis for axis in sources if axis.is_const and axis not in kind.shape]
    if not causes:
        return kind
    whys = tuple(axis.why for axis in causes if axis.why)

    def explain(axis: Dim | Rest) -> Dim | Rest:
        if isinstance(axis, Rest) or axis.why or not axis.is_const or axis in sources:
            return axis
        sum_up = arithmetic([cause.value for cause in causes], axis.value)
        return axis.because(Why(f"{sum_up} by `{at.text}`", at, whys))

    return replace(kind, shape=tuple(explain(axis) for axis in kind.shape))


def arithmetic(causes: list[int], result: int) -> str:
    """How numbers give another, where they do so by one operator: `24 * 24 = 576`, `577 - 1 = 576`."""
    numbers = [str(cause) for cause in causes]
    if math.prod(causes) == result:
        return f"{' * '.join(numbers)} = {result}"
    if sum(causes) == result:
        return f"{' + '.join(numbers)} = {result}"
    if len(causes) == 1 and result < causes[0]:
        return f"{causes[0]} - {causes[0] - result} = {result}"
    return f"{', '.join(dict.fromkeys(numbers))} -> {result}"


def because(value: object, path: str, at: Span) -> object:
    """A number of a part, which says that it is one."""
    if isinstance(value, Dim) and value.is_const:
        inputs = (value.why,) if value.why else ()
        return value.because(Why(f"{path} = {value}", value.why.span if value.why else at, inputs))
    return value


def depth_of(definition: Definition, stack: Stack) -> Dim:
    """The number of layers of a stack, with its derivation if one parameter of the block gives it."""
    count = Dim.of(len(stack.definitions))
    given = [value for value in definition.binding.values() if value == count]
    return given[0] if len(given) == 1 and isinstance(given[0], Dim) else count
