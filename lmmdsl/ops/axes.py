"""Axes of operations that take `axis`, and text that several operations write.

Negative axes count from the end and are the only ones that fit behind open leading axes (`[*b, T, D]`).
"""

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import Axis, Rest, TensorType

LAST = 2**62  # "to the end" in ONNX


def place(axis: int, kind: TensorType) -> int:
    """Index of an axis in `kind.shape`; raises `Refused`."""
    count = len(kind.shape)
    if kind.rank is None:
        if axis >= 0 or -axis >= count:
            raise Refused(f"axis {axis} of {kind}, whose leading axes are open: count from the end")
        return axis % count
    if not -count <= axis < count:
        raise Refused(f"axis {axis} of {kind}, which has {count} axes")
    return axis % count


def size_at(kind: TensorType, index: int) -> Dim:
    """Size of one axis that is not open."""
    size = kind.shape[index]
    assert isinstance(size, Dim)
    return size


def with_axis(kind: TensorType, index: int, *sizes: Axis) -> TensorType:
    """The type with one axis replaced by none, one or several."""
    return TensorType(kind.dtype, (*kind.shape[:index], *sizes, *kind.shape[index + 1 :]))


def closed(kind: TensorType) -> tuple[Dim, ...]:
    """The shape of a tensor without open axes; raises `Refused`."""
    if kind.rank is None:
        raise Refused(f"the number of axes of {kind} is open")
    return tuple(axis for axis in kind.shape if isinstance(axis, Dim))


def given(inputs: Types) -> tuple[TensorType, ...]:
    """The inputs that are there."""
    return tuple(kind for kind in inputs if kind is not None)


def check_sizes(name: str, *sizes: Dim | int, least: int = 0) -> None:
    """Refuse known sizes below `least`."""
    for size in map(Dim.of, sizes):
        if size.is_const and size.value < least:
            raise Refused(f"`{name}` is {size}, but must be {least} or more", sizes=(size,))


def subscript(axis: int, item: str) -> str:
    """`[:, :, item]`, or `[..., item, :]` for an axis that counts from the end."""
    if axis >= 0:
        return f"[{':, ' * axis}{item}]"
    return f"[..., {item}{', :' * (-axis - 1)}]"


def number(value: float) -> str:
    """A number as one writes it: `1e-5`, not `1e-05`."""
    return repr(value).replace("e-0", "e-").replace("e+0", "e")


def show(shape: tuple[Axis, ...]) -> str:
    """A shape for messages."""
    return f"[{', '.join(map(str, shape))}]"


def known(*axes: Axis) -> tuple[Dim, ...]:
    """The axes that have a size, for `Refused.sizes`."""
    return tuple(axis for axis in axes if not isinstance(axis, Rest))
