"""Shapes of operations that work element by element, and sizes of whole tensors."""

from collections.abc import Iterable

from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.ops.axes import known, show
from lmmdsl.ops.signature import Refused
from lmmdsl.types.tensor import Axis, DType, Rest


def product(axes: Iterable[Axis]) -> Dim:
    """Number of elements; open leading axes count as one symbol of their name."""
    total = ONE
    for axis in axes:
        total = total * (Dim.symbol(axis.name) if isinstance(axis, Rest) else axis)
    return total


def broadcast(left: tuple[Axis, ...], right: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The shape of an element-wise result, axes aligned at the end; raises `Refused`.

    Open leading axes fit themselves, and anything that has no more than the axes behind them.
    """
    if len(left) < len(right):
        left, right = right, left
    lead = len(left) - len(right)
    is_open = [bool(shape) and isinstance(shape[0], Rest) for shape in (left, right)]
    if any(is_open) and (is_open[1] if lead else left[0] != right[0]):
        raise Refused(f"shapes {show(left)} and {show(right)} do not broadcast")
    pairs = zip(left[lead:], right, strict=True)
    return (*left[:lead], *(_common(a, b, left, right) for a, b in pairs))


def _common(a: Axis, b: Axis, left: tuple[Axis, ...], right: tuple[Axis, ...]) -> Axis:
    if a == b or b == ONE:
        return a
    if a == ONE:
        return b
    problem = f"shapes {show(left)} and {show(right)} do not broadcast: {a} is not {b}"
    raise Refused(problem, sizes=known(a, b))


def promote(left: DType, right: DType) -> DType:
    """Element kind of an arithmetic result."""
    return DType.FLOAT if DType.FLOAT in (left, right) else DType.INT
