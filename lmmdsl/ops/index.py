"""Taking and joining pieces: slices, single places, concatenation, expansion."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import Axis, DType, TensorType

LAST = 2**62  # "to the end" in ONNX


def place(axis: int, kind: TensorType) -> int:
    """A non-negative axis number; raises `Refused`."""
    if kind.rank is None:
        raise Refused(f"the number of axes of {kind} is open")
    if not -kind.rank <= axis < kind.rank:
        raise Refused(f"axis {axis} of {kind}, which has {kind.rank} axes")
    return axis % kind.rank


def size_at(kind: TensorType, axis: int) -> Dim:
    """Size of one axis."""
    size = kind.shape[axis]
    assert isinstance(size, Dim)
    return size


def _bound(bound: Dim, size: Dim) -> Dim:
    """A bound counted from the start: negative ones count from the end."""
    return bound + size if bound.is_const and bound.value < 0 else bound


@op
@dataclass(frozen=True, kw_only=True)
class Slice(Op):
    """`x[:, start:stop]` along one axis; negative bounds count from the end.

    Source: Python slices; ONNX Slice-13.
    """

    name: ClassVar[str] = "slice"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    axis: int
    start: Dim | None = None
    stop: Dim | None = None
    samples = (
        case(x="2 5 3", attributes={"axis": 1, "start": Dim.of(1)}),
        case(x="2 5 3", attributes={"axis": 2, "start": Dim.of(-2), "stop": Dim.of(-1)}),
    )
    refuses = (
        case(x="2 5", attributes={"axis": 1, "start": Dim.of(6)}, problem="of an axis of 5"),
        case(x="2 5", attributes={"axis": 2}, problem="has 2 axes"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (x,) = inputs
        assert x is not None
        axis = place(self.axis, x)
        size = size_at(x, axis)
        start = _bound(self.start, size) if self.start is not None else Dim.of(0)
        stop = _bound(self.stop, size) if self.stop is not None else size
        length = stop - start
        outside = [
            b
            for b in (start, stop)
            if b.is_const and size.is_const and not 0 <= b.value <= size.value
        ]
        if outside or (length.is_const and length.value < 0):
            raise Refused(f"a slice from {start} to {stop} of an axis of {size}", sizes=(size,))
        shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
        return (TensorType(x.dtype, shape),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        assert e.inputs[0] is not None
        axis = place(self.axis, e.inputs[0])
        start, stop = ("" if bound is None else e.dim(bound) for bound in (self.start, self.stop))
        return f"{args[0]}[{':, ' * axis}{start}:{stop}]"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        assert g.inputs[0] is not None
        start = g.dim(self.start if self.start is not None else Dim.of(0))
        stop = g.dim(self.stop if self.stop is not None else Dim.of(LAST))
        return g.op(
            "Slice", args[0], start, stop, g.const([place(self.axis, g.inputs[0])], DType.INT)
        )


@op
@dataclass(frozen=True, kw_only=True)
class Select(Op):
    """`x[:, index]`: one place of an axis, which goes.

    Source: torch.select; ONNX Gather-13.
    """

    name: ClassVar[str] = "select"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    axis: int
    index: int
    samples = (
        case(x="2 5 3", attributes={"axis": 1, "index": 0}),
        case(x="2 5 3", attributes={"axis": 2, "index": -1}),
    )
    refuses = (
        case(x="2 5", attributes={"axis": 1, "index": 5}, problem="place 5 of an axis of 5"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (x,) = inputs
        assert x is not None
        axis = place(self.axis, x)
        size = size_at(x, axis)
        if size.is_const and not -size.value <= self.index < size.value:
            raise Refused(f"place {self.index} of an axis of {size}", sizes=(size,))
        return (TensorType(x.dtype, (*x.shape[:axis], *x.shape[axis + 1 :])),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        assert e.inputs[0] is not None
        return f"{args[0]}[{':, ' * place(self.axis, e.inputs[0])}{self.index}]"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        assert g.inputs[0] is not None
        return g.op(
            "Gather", args[0], g.const(self.index, DType.INT), axis=place(self.axis, g.inputs[0])
        )


@op
@dataclass(frozen=True, kw_only=True)
class Concat(Op):
    """Tensors one after another along an axis.

    Source: torch.cat; ONNX Concat-13.
    """

    name: ClassVar[str] = "concat"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    is_variadic: ClassVar[bool] = True
    axis: int
    samples = (
        case(x="2 5 3", y="2 1 3", attributes={"axis": 1}),
        case(x="2 3", y="2 4", z="2 5", attributes={"axis": -1}),
    )
    refuses = (
        case(x="2 5 3", y="2 1 4", attributes={"axis": 1}, problem="differ in axis 2: 3 and 4"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = [kind for kind in inputs if kind is not None]
        if not kinds:
            raise Refused("`concat` needs tensors")
        first = kinds[0]
        axis = place(self.axis, first)
        for other in kinds[1:]:
            self._check(first, other, axis)
        total = size_at(first, axis)
        for other in kinds[1:]:
            total = total + size_at(other, axis)
        return (TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :])),)

    def _check(self, first: TensorType, other: TensorType, axis: int) -> None:
        if other.dtype is not first.dtype or other.rank != first.rank:
            raise Refused(f"{first} and {other} cannot be joined")
        for number, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)):
            if number != axis and a != b:
                sizes = tuple(size for size in (a, b) if isinstance(size, Dim))
                raise Refused(
                    f"{first} and {other} differ in axis {number}: {a} and {b}", sizes=sizes
                )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"torch.cat(({', '.join(args)}), dim={self.axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Concat", *args, axis=self.axis)


@op
@dataclass(frozen=True, kw_only=True)
class Expand(Op):
    """Repeat axes of size 1 (and add leading ones) up to a shape.

    Source: torch.Tensor.expand; ONNX Expand-13.
    """

    name: ClassVar[str] = "expand"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    shape: tuple[Dim, ...]
    samples = (case(x="1 5", attributes={"shape": (Dim.of(2), Dim.of(3), Dim.of(5))}),)
    refuses = (
        case(x="2 5", attributes={"shape": (Dim.of(3), Dim.of(5))}, problem="do not broadcast"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (x,) = inputs
        assert x is not None
        target: tuple[Axis, ...] = self.shape
        if broadcast(x.shape, target) != target:
            raise Refused(f"{x} does not expand to [{', '.join(map(str, target))}]")
        return (TensorType(x.dtype, target),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}.expand({', '.join(e.dim(size) for size in self.shape)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Expand", args[0], g.shape(self.shape))
