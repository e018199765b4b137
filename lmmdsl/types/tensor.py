"""Tensor types: an element kind and a shape of symbolic sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from lmmdsl.dims.expr import Dim


class DType(StrEnum):
    """Element kind. `FLOAT` is the model's own precision, chosen when it is built or exported."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Rest:
    """Any number of leading axes, written `*b` in a signature."""

    name: str

    def __str__(self) -> str:
        return f"*{self.name}"


Axis = Dim | Rest


@dataclass(frozen=True, slots=True)
class TensorType:
    """Type of a tensor. A `Rest` may stand only first in `shape`."""

    dtype: DType
    shape: tuple[Axis, ...]
    optional: bool = False

    @property
    def rank(self) -> int | None:
        """Number of axes, or None where leading axes are open."""
        return None if self.shape and isinstance(self.shape[0], Rest) else len(self.shape)

    def size(self, axis: int) -> Dim:
        """Size of one axis that is not open."""
        size = self.shape[axis]
        if isinstance(size, Rest):
            raise TypeError(f"axis {axis} of {self} stands for any number of axes")
        return size

    def subs(self, sizes: Mapping[str, Dim]) -> "TensorType":
        """Replace run-time symbols by sizes."""
        shape = tuple(a if isinstance(a, Rest) else a.subs(sizes) for a in self.shape)
        return replace(self, shape=shape)

    def __str__(self) -> str:
        kind = "" if self.dtype is DType.FLOAT else self.dtype.value
        return f"{kind}[{', '.join(map(str, self.shape))}]{'?' if self.optional else ''}"
