"""Rotary positions: tables of cosines and sines, and the rotation of queries and keys."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType


@op
@dataclass(frozen=True, kw_only=True)
class Rotary(Op):
    """Cosines and sines of position * theta ** (-2 i / dim), i < dim / 2, computed in float32.

    Source: arXiv 2104.09864 equation 15.
    """

    name: ClassVar[str] = "rotary"
    signature: ClassVar[str] = "int positions[*b] -> cos[*b], sin[*b]"
    dim: int
    theta: float = 10000.0
    samples = (case(positions="int 2 5", attributes={"dim": 6}, high=50),)
    refuses = (case(positions="int 2 5", attributes={"dim": 5}, problem="must be even"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (positions,) = inputs
        assert positions is not None
        if self.dim % 2 or self.dim < 2:
            raise Refused(f"`dim` is {self.dim}, but must be even: channels are rotated in pairs")
        if positions.dtype is not DType.INT:
            raise Refused("`positions` must be int")
        kind = TensorType(DType.FLOAT, (*positions.shape, Dim.of(self.dim // 2)))
        return kind, kind

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('rotary')}({args[0]}, {self.dim}, {self.theta})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        steps = range(0, self.dim, 2)
        # Single precision whatever the model's own: angles of far positions need it.
        positions = g.op("Unsqueeze", g.op("Cast", args[0], to=1), g.const([-1], DType.INT))
        rates = g.op(
            "Constant", value_floats=[math.exp(-i / self.dim * math.log(self.theta)) for i in steps]
        )
        angles = g.op("Mul", positions, rates)
        like = g.const(0.0, DType.FLOAT)
        return tuple(g.op("CastLike", g.op(kind, angles), like) for kind in ("Cos", "Sin"))


@op
@dataclass(frozen=True, kw_only=True)
class Rotate(Op):
    """Rotate pairs of channels by the angles of each token; channels beyond 2 r pass through.

    `half` pairs channel i with i + r, `interleaved` pairs 2 i with 2 i + 1.

    Source: arXiv 2104.09864 section 3.4; ONNX RotaryEmbedding-23.
    """

    name: ClassVar[str] = "rotate"
    signature: ClassVar[str] = "x[b h t d], cos[b t r], sin[b t r] -> y[b h t d]"
    layout: str = "half"
    samples = (
        case(x="2 3 5 8", cos="2 5 4", sin="2 5 4"),
        case(x="2 3 5 8", cos="2 5 2", sin="2 5 2"),
        case(x="2 3 5 8", cos="2 5 4", sin="2 5 4", attributes={"layout": "interleaved"}),
    )
    refuses = (
        case(x="2 3 5 6", cos="2 5 4", sin="2 5 4", problem="rotates 8 channels, but a head has 6"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = super().infer(inputs)
        x, cos = inputs[0], inputs[1]
        assert x is not None and cos is not None
        if self.layout not in ("half", "interleaved"):
            raise Refused(f"`layout` is `half` or `interleaved`, not `{self.layout}`")
        width, pairs = x.shape[-1], cos.shape[-1]
        assert isinstance(width, Dim) and isinstance(pairs, Dim)
        if not (width.is_const and pairs.is_const):
            raise Refused(
                f"the width of a head ({width}) and its rotated pairs ({pairs}) must be known"
            )
        if 2 * pairs.value > width.value:
            raise Refused(
                f"rotates {2 * pairs.value} channels, but a head has {width}", sizes=(width, pairs)
            )
        return kinds

    def torch(self, e: TorchEmitter, *args: str) -> str:
        name = "rotate" if self.layout == "half" else "rotate_interleaved"
        return f"{e.helper(name)}({', '.join(args)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        assert g.inputs[0] is not None and g.inputs[1] is not None
        width, pairs = (kind.shape[-1].value for kind in g.inputs[:2])  # type: ignore[union-attr]
        interleaved = int(self.layout == "interleaved")
        if g.profile != "base" and 2 * pairs == width:
            return g.op("RotaryEmbedding", *args, interleaved=interleaved)
        return self._primitives(g, args, width, pairs)

    def _primitives(
        self, g: OnnxBuilder, args: tuple[str | None, ...], width: int, pairs: int
    ) -> Any:
        x, cos, sin = args
        axis = g.const([1], DType.INT)
        cos, sin = (g.op("Unsqueeze", table, axis) for table in (cos, sin))

        def part(start: int, stop: int, step: int = 1) -> Any:
            bounds = [g.const([number], DType.INT) for number in (start, stop, -1, step)]
            return g.op("Slice", x, *bounds)

        half = self.layout == "half"
        left, right = (
            (part(0, pairs), part(pairs, 2 * pairs))
            if half
            else (part(0, 2 * pairs, 2), part(1, 2 * pairs, 2))
        )
        first = g.op("Sub", g.op("Mul", left, cos), g.op("Mul", right, sin))
        second = g.op("Add", g.op("Mul", right, cos), g.op("Mul", left, sin))
        if not half:
            last = g.const([-1], DType.INT)
            both = g.op(
                "Concat", g.op("Unsqueeze", first, last), g.op("Unsqueeze", second, last), axis=-1
            )
            batch, heads, tokens, _ = g.outputs[0].shape
            pieces = [g.op("Reshape", both, g.shape([batch, heads, tokens, Dim.of(2 * pairs)]))]  # type: ignore[list-item]
        else:
            pieces = [first, second]
        if 2 * pairs < width:
            pieces.append(part(2 * pairs, width))
        return pieces[0] if len(pieces) == 1 else g.op("Concat", *pieces, axis=-1)
