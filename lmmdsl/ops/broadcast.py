"""Shapes of operations that work element by element, and sizes of whole tensors."""

from collections.abc import Iterable

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.signature import Refused
from lmmdsl.types.tensor import Axis, DType, Rest

ONE = Dim.of(1)


def product(axes: Iterable[Axis]) -> Dim:
    """Number of elements; open leading axes count as one symbol of their name."""
    total = ONE
    for axis in axes:
        total = total * (Dim.symbol(axis.name) if isinstance(axis, Rest) else axis)
    return total


def broadcast(left: tuple[Axis, ...], right: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The shape of an element-wise result, axes aligned at the end; raises `Refused`."""
    if len(left) < len(right):
        left, right = right, left
    lead = len(left) - len(right)
    if right and isinstance(right[0], Rest) and (lead or left[0] != right[0]):
        raise Refused(f"shapes [{_show(left)}] and [{_show(right)}] do not broadcast")
    merged = list(left[:lead])
    for a, b in zip(left[lead:], right, strict=True):
        if a == b or b == ONE:
            merged.append(a)
        elif a == ONE:
            merged.append(b)
        else:
            sizes = tuple(axis for axis in (a, b) if isinstance(axis, Dim))
            problem = (
                f"shapes [{_show(left)}] and [{_show(right)}] do not broadcast: {a} is not {b}"
            )
            raise Refused(problem, sizes=sizes)
    return tuple(merged)


def promote(left: DType, right: DType) -> DType:
    """Element kind of an arithmetic result."""
    if DType.FLOAT in (left, right):
        return DType.FLOAT
    return DType.INT


def _show(axes: tuple[Axis, ...]) -> str:
    return ", ".join(map(str, axes))
