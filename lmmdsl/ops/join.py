"""Joining and splitting tensors, widening them."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import ONE, ZERO, Dim
from lmmdsl.ops.axes import check_sizes, given, number, place, show, size_at, with_axis
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast
from lmmdsl.ops.index import check_alike
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

MOST_PARTS = 1024


@dataclass(frozen=True, kw_only=True)
class Variadic(Op):
    """An operation on any number of tensors of one kind."""

    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    is_variadic: ClassVar[bool] = True
    axis: int

    def kinds(self, inputs: Types) -> tuple[TensorType, ...]:
        """The tensors, at least one and of one element kind; raises `Refused`."""
        kinds = given(inputs)
        if not kinds:
            raise Refused(f"`{self.name}` needs tensors")
        other = next((kind for kind in kinds if kind.dtype is not kinds[0].dtype), None)
        if other is not None:
            raise Refused(
                f"{kinds[0]} is {kinds[0].dtype.value}, but {other} is {other.dtype.value}"
            )
        return kinds


@op
class Concat(Variadic):
    """Tensors one after another along an axis.

    Source: torch.cat; ONNX Concat-13.
    """

    name: ClassVar[str] = "concat"
    samples = (
        case(x="2 5 3", y="2 1 3", attributes={"axis": 1}),
        case(x="2 3", y="2 4", z="2 5", attributes={"axis": -1}),
        case(x="int 2 0", y="int 2 4", attributes={"axis": 1}),
    )
    refuses = (
        case(x="2 5 3", y="2 1 4", attributes={"axis": 1}, problem="differ in axis 2: 3 and 4"),
        case(
            x="2 5", y="int 2 5", attributes={"axis": 1}, problem="is float, but int[2, 5] is int"
        ),
        case(x="2 5", y="5", attributes={"axis": 0}, problem="differ in the number of axes"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        first, *others = self.kinds(inputs)
        index = place(self.axis, first)
        total = size_at(first, index)
        for other in others:
            check_alike(first, other, self.axis)
            total = total + size_at(other, index)
        return (with_axis(first, index, total),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        comma = "," if len(args) == 1 else ""
        return f"torch.cat(({', '.join(args)}{comma}), dim={self.axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Concat", *args, axis=self.axis)


@op
class Stack(Variadic):
    """Tensors of one shape along a new axis.

    Source: torch.stack; ONNX Unsqueeze-13, Concat-13.
    """

    name: ClassVar[str] = "stack"
    axis: int = 0
    samples = (
        case(x="2 5", y="2 5", attributes={"axis": 1}),
        case(x="2 5", y="2 5", z="2 5", attributes={"axis": -1}),
    )
    refuses = (
        case(x="2 5", y="2 4", problem="[2, 5] and [2, 4] differ"),
        case(x="2 5", y="2 5", attributes={"axis": 3}, problem="axis 3 of a stack of 3 axes"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = self.kinds(inputs)
        first = kinds[0]
        for other in kinds[1:]:
            if other.shape != first.shape:
                raise Refused(f"{show(first.shape)} and {show(other.shape)} differ")
        count = len(first.shape) + 1
        if not -count <= self.axis < count or (first.rank is None and not -count < self.axis < 0):
            raise Refused(f"axis {self.axis} of a stack of {count} axes")
        index = self.axis % count
        return (
            TensorType(
                first.dtype, (*first.shape[:index], Dim.of(len(kinds)), *first.shape[index:])
            ),
        )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        comma = "," if len(args) == 1 else ""
        return f"torch.stack(({', '.join(args)}{comma}), dim={self.axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        axis = g.const([self.axis], DType.INT)
        return g.op("Concat", *(g.op("Unsqueeze", x, axis) for x in args), axis=self.axis)


@op
class Split(Op):
    """Pieces of an axis: a number of equal ones, or one of each of the sizes listed.

    Source: torch.split; ONNX Split-18.
    """

    name: ClassVar[str] = "split"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    parts: int | tuple[Dim, ...]
    axis: int = -1
    samples = (
        case(x="2 6", attributes={"parts": 3}),
        case(x="2 7 3", attributes={"parts": (Dim.of(2), Dim.of(5)), "axis": 1}),
    )
    refuses = (
        case(
            x="2 7",
            attributes={"parts": 3},
            problem="an axis of 7 does not split into 3 equal parts",
        ),
        case(
            x="2 7",
            attributes={"parts": (Dim.of(2), Dim.of(3))},
            problem="an axis of 7 does not split into 2 + 3",
        ),
        case(x="2 7", attributes={"parts": 0}, problem="1 to 1024 parts, not 0"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        index = place(self.axis, kind)
        sizes = self._sizes(size_at(kind, index))
        return tuple(with_axis(kind, index, size) for size in sizes)

    def _sizes(self, size: Dim) -> tuple[Dim, ...]:
        if isinstance(self.parts, tuple):
            check_sizes("parts", *self.parts)
            if sum(self.parts, ZERO) != size:
                text = " + ".join(map(str, self.parts))
                raise Refused(
                    f"an axis of {size} does not split into {text}", sizes=(size, *self.parts)
                )
            return self.parts
        if not 1 <= self.parts <= MOST_PARTS:
            raise Refused(f"an axis splits into 1 to {MOST_PARTS} parts, not {self.parts}")
        part = size.divide(self.parts)
        if part is None:
            raise Refused(
                f"an axis of {size} does not split into {self.parts} equal parts", sizes=(size,)
            )
        return (part,) * self.parts

    def torch(self, e: TorchEmitter, *args: str) -> str:
        axis = f", dim={self.axis}"
        if isinstance(self.parts, tuple):
            return f"{args[0]}.split(({', '.join(map(e.dim, self.parts))},){axis})"
        return f"{args[0]}.chunk({self.parts}{axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        index = place(self.axis, given(g.inputs)[0])
        sizes = g.shape([size_at(kind, index) for kind in g.outputs])
        made = g.op("Split", args[0], sizes, outputs=len(g.outputs), axis=self.axis)
        return made if len(g.outputs) > 1 else (made,)


@op
class Expand(Op):
    """Repeat axes of size 1 (and add leading ones) up to a shape.

    Source: torch.Tensor.expand; ONNX Expand-13.
    """

    name: ClassVar[str] = "expand"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    shape: tuple[Dim, ...]
    samples = (
        case(x="1 5", attributes={"shape": (Dim.of(2), Dim.of(3), Dim.of(5))}),
        case(x="int 2 1", attributes={"shape": (Dim.of(2), Dim.of(3))}),
        case(x="", attributes={"shape": (Dim.of(2),)}),
    )
    refuses = (
        case(
            x="2 5",
            attributes={"shape": (Dim.of(3), Dim.of(5))},
            problem="do not broadcast: 2 is not 3",
        ),
        case(x="1", attributes={"shape": (Dim.of(-1),)}, problem="`shape` is -1"),
        case(
            x="2 5",
            attributes={"shape": (Dim.of(1), Dim.of(5))},
            problem="does not expand to [1, 5]",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        check_sizes("shape", *self.shape)
        if broadcast(kind.shape, self.shape) != self.shape:
            raise Refused(f"{show(kind.shape)} does not expand to {show(self.shape)}")
        return (TensorType(kind.dtype, self.shape),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        (kind,) = e.inputs
        assert kind is not None
        old = (None,) * (len(self.shape) - len(kind.shape)) + kind.shape
        sizes = (
            "-1" if new == size else e.dim(new) for new, size in zip(self.shape, old, strict=True)
        )
        return f"{args[0]}.expand({', '.join(sizes)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Expand", args[0], g.shape(self.shape))


@op
class Pad(Op):
    """A constant in front of an axis and behind it.

    Source: torch.nn.functional.pad; ONNX Pad-18.
    """

    name: ClassVar[str] = "pad"
    signature: ClassVar[str] = "number x[*b] -> number y[*b]"
    axis: int
    before: Dim = ZERO
    after: Dim = ZERO
    value: int | float = 0
    samples = (
        case(x="2 5 3", attributes={"axis": 1, "before": ONE, "after": Dim.of(2)}),
        case(x="int 2 5", attributes={"axis": -1, "after": ONE, "value": 7}),
        case(x="2 5", attributes={"axis": 0, "before": ONE, "value": -0.5}),
    )
    refuses = (
        case(
            x="2 5",
            attributes={"axis": 1, "before": Dim.of(-1)},
            problem="`before` is -1",
        ),
        case(x="int 2", attributes={"axis": 0, "value": 0.5}, problem="holds whole numbers"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        index = place(self.axis, kind)
        check_sizes("before", self.before)
        check_sizes("after", self.after)
        if kind.dtype is DType.INT and isinstance(self.value, float):
            raise Refused(f"`value` is {number(self.value)}, but {kind} holds whole numbers")
        return (with_axis(kind, index, size_at(kind, index) + self.before + self.after),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        kind = given(e.inputs)[0]
        behind = len(kind.shape) - 1 - place(self.axis, kind)  # torch counts axes from the last
        counts = ["0", "0"] * behind + [e.dim(self.before), e.dim(self.after)]
        value = f", value={number(self.value)}" if self.value else ""
        return f"F.pad({args[0]}, ({', '.join(counts)}){value})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        kind = given(g.inputs)[0]
        counts = g.shape([self.before, self.after])
        return g.op(
            "Pad", args[0], counts, g.const(self.value, kind.dtype), g.const([self.axis], DType.INT)
        )
