"""Taking pieces of a tensor: slices, single places, rows by number."""

from typing import Any, ClassVar

from lmmdsl.dims.expr import ZERO, Dim
from lmmdsl.ops.axes import LAST, closed, given, known, place, show, size_at, subscript, with_axis
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType


@op
class Slice(Op):
    """`x[:, start:stop]` along one axis; negative bounds count from the end.

    Source: Python slices; ONNX Slice-13.
    """

    name: ClassVar[str] = "slice"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    axis: int
    start: Dim | None = None
    stop: Dim | None = None
    samples = (
        case(x="2 5 3", attributes={"axis": 1, "start": Dim.of(1)}),
        case(x="2 5 3", attributes={"axis": -1, "start": Dim.of(-2), "stop": Dim.of(-1)}),
        case(x="int 4 5", attributes={"axis": 0, "stop": Dim.of(2)}),
        case(x="2 5 3", attributes={"axis": -2, "stop": Dim.of(0)}),
    )
    refuses = (
        case(
            x="2 5",
            attributes={"axis": 1, "start": Dim.of(6)},
            problem="a slice from 6 to 5 of an axis of 5",
        ),
        case(
            x="2 5",
            attributes={"axis": 1, "stop": Dim.of(-6)},
            problem="a slice from 0 to -1 of an axis of 5",
        ),
        case(x="2 5", attributes={"axis": 2}, problem="which has 2 axes"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        index = place(self.axis, kind)
        size = size_at(kind, index)
        start = _from_start(self.start, size) if self.start is not None else ZERO
        stop = _from_start(self.stop, size) if self.stop is not None else size
        length = stop - start
        fits = (start, stop, size - start, size - stop, length)
        if any(room.is_const and room.value < 0 for room in fits):
            raise Refused(f"a slice from {start} to {stop} of an axis of {size}", sizes=(size,))
        return (with_axis(kind, index, length),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        start, stop = ("" if bound is None else e.dim(bound) for bound in (self.start, self.stop))
        return f"{args[0]}{subscript(self.axis, f'{start}:{stop}')}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        start = g.dim(self.start if self.start is not None else ZERO)
        stop = g.dim(self.stop if self.stop is not None else Dim.of(LAST))
        return g.op("Slice", args[0], start, stop, g.const([self.axis], DType.INT))


def _from_start(bound: Dim, size: Dim) -> Dim:
    """A bound counted from the start: negative ones count from the end."""
    return bound + size if bound.is_const and bound.value < 0 else bound


@op
class Select(Op):
    """`x[:, index]`: one place of an axis, which goes.

    Source: torch.select; ONNX Gather-13.
    """

    name: ClassVar[str] = "select"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    axis: int
    index: int
    samples = (
        case(x="2 5 3", attributes={"axis": 1, "index": 0}),
        case(x="2 5 3", attributes={"axis": -1, "index": -1}),
    )
    refuses = (
        case(x="2 5", attributes={"axis": 1, "index": 5}, problem="place 5 of an axis of 5"),
        case(x="2 5", attributes={"axis": 1, "index": -6}, problem="place -6 of an axis of 5"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        index = place(self.axis, kind)
        size = size_at(kind, index)
        if size.is_const and not -size.value <= self.index < size.value:
            raise Refused(f"place {self.index} of an axis of {size}", sizes=(size,))
        return (with_axis(kind, index),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}{subscript(self.axis, str(self.index))}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Gather", args[0], g.const(self.index, DType.INT), axis=self.axis)


@op
class Unsqueeze(Op):
    """A last axis of one, so that one number per place goes with the channels of that place.

    Source: torch.unsqueeze; ONNX Unsqueeze-13. `rearrange` cannot say it of any number of axes.
    """

    name: ClassVar[str] = "unsqueeze"
    signature: ClassVar[str] = "any x[*b] -> any y[*b 1]"
    samples = (case(x="2 5"), case(x="bool 2 5 3"), case(x="int 4"), case(x=""))
    refuses = ()

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}.unsqueeze(-1)"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Unsqueeze", args[0], g.const([-1], DType.INT))


@op
class IndexSelect(Op):
    """`x[:, places]`: the places of an axis in the order of `places`, whose axes stand in its stead.

    Source: torch.index_select; ONNX Gather-13.
    """

    name: ClassVar[str] = "index_select"
    signature: ClassVar[str] = "any x[*b], int places[*p] -> any y[*b]"
    axis: int = 0
    samples = (
        case(x="2 5 3", places="int 4: 4 0 4 2", attributes={"axis": 1}),
        case(x="int 5 3", places="int 2 3", attributes={"axis": -1}),
    )
    refuses = (case(x="2 5", places="2", problem="`places` must be int"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        return (with_axis(kind, place(self.axis, kind), *closed(given(inputs)[1])),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}{subscript(self.axis, args[1])}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Gather", *args, axis=self.axis)


@op
class Gather(Op):
    """y[i][j][k] = x[i][places[i][j][k]][k] for axis 1: one place of the axis for every element.

    Source: torch.gather; ONNX GatherElements-13.
    """

    name: ClassVar[str] = "gather"
    signature: ClassVar[str] = "any x[*b], int places[*p] -> any y[*p]"
    axis: int
    samples = (
        case(x="2 5 3", places="int 2 4 3", attributes={"axis": 1}),
        case(x="int 2 5", places="int 2 7", attributes={"axis": -1}, high=5),
    )
    refuses = (
        case(
            x="2 5 3",
            places="int 2 4 1",
            attributes={"axis": 1},
            problem="differ in axis 2: 3 and 1",
        ),
        case(
            x="2 5 3",
            places="int 2 4",
            attributes={"axis": 1},
            problem="differ in the number of axes",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = super().infer(inputs)
        x, places = given(inputs)
        check_alike(x, places, self.axis)
        return kinds

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}.gather({self.axis}, {args[1]})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("GatherElements", *args, axis=self.axis)


def check_alike(first: TensorType, other: TensorType, axis: int) -> None:
    """Refuse shapes that differ elsewhere than along one axis."""
    if len(first.shape) != len(other.shape):
        raise Refused(f"{show(first.shape)} and {show(other.shape)} differ in the number of axes")
    index = place(axis, first)
    for number, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)):
        if number != index and a != b:
            raise Refused(
                f"{show(first.shape)} and {show(other.shape)} differ in axis {number}: {a} and {b}",
                sizes=known(a, b),
            )
