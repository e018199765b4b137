"""Positions that are no angles: buckets of relative distances."""

import math
from typing import Any, ClassVar

from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

MOST = 65536  # the table of buckets has one entry per distance


@op
class PositionBucket(Op):
    """Number of the bucket of a relative position (key minus query).

    The nearer half of the distances have a bucket each, the others share buckets that grow with the logarithm up to
    `max_distance`. `both` tells positions before and after apart, each with half of the buckets; else what comes
    after counts as distance 0.

    Source: arXiv 1910.10683 section 2.1; torch.bucketize; ONNX Gather-13.
    """

    name: ClassVar[str] = "position_bucket"
    signature: ClassVar[str] = "int relative[*b] -> int y[*b]"
    buckets: int = 32
    max_distance: int = 128
    both: bool = True
    samples = (
        case(relative="int 9: -200 -128 -17 -1 0 1 8 17 300"),
        case(relative="int 2 4: -200 -127 -20 -3 0 1 8 91", attributes={"both": False}),
        case(relative="int 5: -9 -3 0 2 7", attributes={"buckets": 8, "max_distance": 10}),
        case(relative="int 6: -9 -5 -2 0 2 7", attributes={"buckets": 10, "max_distance": 10}),
    )
    refuses = (
        case(relative="2", problem="must be int"),
        case(relative="int 2", attributes={"buckets": 3}, problem="must be from 4 to"),
        case(relative="int 2", attributes={"max_distance": 8}, problem="must be above 8"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        least = 4 if self.both else 2
        if not least <= self.buckets <= MOST:
            raise Refused(f"`buckets` is {self.buckets}, but must be from {least} to {MOST}")
        near = self._count // 2
        if not near < self.max_distance <= MOST:
            problem = f"must be above {near} and at most {MOST}"
            raise Refused(f"`max_distance` is {self.max_distance}, but {problem}")
        return super().infer(inputs)

    @property
    def _count(self) -> int:
        """Buckets of one side."""
        return self.buckets // 2 if self.both else self.buckets

    def starts(self) -> list[int]:
        """The smallest distance of every bucket but the first."""
        near = self._count // 2
        growth = math.log(self.max_distance / near) / (self._count - near)
        # The rounding of the logarithm must not push a whole number up.
        far = [
            math.ceil(near * math.exp(growth * step) - 1e-6)
            for step in range(1, self._count - near)
        ]
        return [*range(1, near + 1), *far]

    def torch(self, e: TorchEmitter, *args: str) -> str:
        near = self._count // 2
        far = tuple(self.starts()[near:])
        return f"{e.helper('position_bucket')}({args[0]}, {near}, {far}, both={self.both})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, zero = args[0], g.const(0, DType.INT)
        starts = self.starts()
        table = [sum(start <= distance for start in starts) for distance in range(starts[-1] + 1)]
        distance = g.op("Abs", x) if self.both else g.op("Max", g.op("Neg", x), zero)
        distance = g.op("Min", distance, g.const(starts[-1], DType.INT))
        bucket = g.op("Gather", g.const(table, DType.INT), distance, axis=0)
        if not self.both:
            return bucket
        return g.op(
            "Add",
            bucket,
            g.op("Where", g.op("Greater", x, zero), g.const(self._count, DType.INT), zero),
        )
