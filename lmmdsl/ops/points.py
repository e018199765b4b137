"""Choosing among points of a cloud."""

from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

MOST = 4096  # points that are chosen one after another


@op
class FarthestPoints(Op):
    """Places of `count` points, each as far as possible from those before it; the first is given.

    Of points equally far the first is taken; when all are taken, it is the first of all.

    Source: arXiv 1706.02413 section 3.2; ONNX ArgMax-13, GatherND-13.
    """

    name: ClassVar[str] = "farthest_points"
    signature: ClassVar[str] = "points[r n d], int first[r] -> int places[r count]"
    count: Dim
    samples = (
        case(points="2 9 2", first="int 2: 3 0", attributes={"count": Dim.of(5)}),
        case(points="3 4 3", first="int 3: 1 2 3", attributes={"count": Dim.of(1)}),
        case(points="1 3 2", first="int 1: 2", attributes={"count": Dim.of(7)}),
    )
    refuses = (
        case(
            points="2 9 2",
            first="int 3",
            attributes={"count": Dim.of(2)},
            problem="axis `r` of `first` is 3, not 2",
        ),
        case(
            points="2 9 2",
            first="int 2",
            attributes={"count": Dim.of(0)},
            problem="must be a number from 1 to 4096",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if not self.count.is_const or not 1 <= self.count.value <= MOST:
            raise Refused(f"`count` is {self.count}, but must be a number from 1 to {MOST}")
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('farthest_points')}({', '.join(args)}, {e.dim(self.count)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        points, first = args
        last = g.const([-1], DType.INT)
        place = g.op("Unsqueeze", first, last)  # [r, 1]
        places, nearest = [place], None
        for _ in range(self.count.value - 1):
            here = g.op("GatherND", points, place, batch_dims=1)  # [r, d]
            away = g.op("Sub", points, g.op("Unsqueeze", here, g.const([1], DType.INT)))
            away = g.op("ReduceSum", g.op("Mul", away, away), last, keepdims=0)  # [r, n]
            nearest = away if nearest is None else g.op("Min", away, nearest)
            place = g.op("ArgMax", nearest, axis=1, keepdims=1)  # [r, 1]
            places.append(place)
        return g.op("Concat", *places, axis=1)
