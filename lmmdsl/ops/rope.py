"""Rotary positions: tables of cosines and sines, and the rotation of queries and keys."""

import struct
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import given, known, number
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

WIDEST = 65536  # channels of a head


@op
class Rotary(Op):
    """Cosines and sines of position * theta ** (-2 i / dim), i < dim / 2, computed in float32.

    `stretch` makes theta larger, by the factor stretch ** (dim / (dim - 2)), for sequences so many times as long as
    those that a model was trained on.

    Source: arXiv 2104.09864 equation 15; arXiv 2309.00071 section 3.1 (stretch).
    """

    name: ClassVar[str] = "rotary"
    signature: ClassVar[str] = "int positions[*b], int stretch[]? -> cos[*b], sin[*b]"
    dim: int
    theta: float = 10000.0
    samples = (
        case(positions="int 2 5", attributes={"dim": 6}, high=50),
        case(positions="int 2 3: 0 1 1000  2047 4000 8191", attributes={"dim": 64}),
        case(positions="int 2 3: 0 1 7  20 60 99", stretch="int : 7", attributes={"dim": 64}),
        case(positions="int 5", stretch="int : 1", attributes={"dim": 4}, high=50),
    )
    refuses = (
        case(positions="int 2 5", attributes={"dim": 5}, problem="must be even"),
        case(positions="int 2 5", attributes={"dim": 4, "theta": 0.0}, problem="must be above 0"),
        case(positions="2 5", attributes={"dim": 4}, problem="`positions` must be int"),
        case(
            positions="int 2 5",
            stretch="int :",
            attributes={"dim": 2},
            problem="`dim` is 2, but must be above 2",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if not 2 <= self.dim <= WIDEST:
            raise Refused(f"`dim` is {self.dim}, but must be from 2 to {WIDEST}")
        if self.dim % 2:
            raise Refused(f"`dim` is {self.dim}, but must be even: channels are rotated in pairs")
        if self.theta <= 0:
            raise Refused(f"`theta` is {number(self.theta)}, but must be above 0")
        if inputs[1] and self.dim == 2:
            raise Refused("`dim` is 2, but must be above 2: the rate of the first pair stays")
        pairs = Dim.of(self.dim // 2)
        return tuple(TensorType(kind.dtype, (*kind.shape, pairs)) for kind in super().infer(inputs))

    def torch(self, e: TorchEmitter, *args: str) -> str:
        theta = number(self.theta)
        if args[1] != "None":
            theta = f"{e.helper('stretch_base')}({theta}, {args[1]}, {self.dim})"
        return f"{e.helper('rotary')}({args[0]}, {self.dim}, {theta})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        # Single precision whatever the model's own: angles of far positions need it.
        positions = g.op("Unsqueeze", g.op("Cast", args[0], to=1), g.const([-1], DType.INT))
        angles = g.op("Mul", positions, self._rates(g, args[1]))
        return tuple(g.op("Cast", g.op(kind, angles), to=DType.FLOAT) for kind in ("Cos", "Sin"))

    def _rates(self, g: OnnxBuilder, stretch: str | None) -> Any:
        if stretch is None:
            return g.op("Constant", value_floats=self.rates())
        growth = g.op("Constant", value_float=self.dim / (self.dim - 2))
        factor = g.op("Pow", g.op("Cast", stretch, to=1), growth)
        base = g.op("Mul", g.op("Constant", value_float=self.theta), factor)
        steps = g.op("Constant", value_floats=[-i / self.dim for i in range(0, self.dim, 2)])
        return g.op("Pow", base, steps)

    def rates(self) -> list[float]:
        """Angles per position, rounded step by step as the same expression in single precision is."""
        theta = _single(self.theta)
        return [_single(1 / _single(theta ** _single(i / self.dim))) for i in range(0, self.dim, 2)]


def _single(value: float) -> float:
    rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    return rounded


@op
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
        if self.layout not in ("half", "interleaved"):
            raise Refused(f"`layout` is `half` or `interleaved`, not `{self.layout}`")
        width, pairs = (known(kind.shape[-1])[0] for kind in given(inputs)[:2])
        if not (width.is_const and pairs.is_const):
            problem = f"the width of a head ({width}) and its rotated pairs ({pairs}) must be known"
            raise Refused(problem, sizes=(width, pairs))
        if 2 * pairs.value > width.value:
            problem = f"rotates {2 * pairs.value} channels, but a head has {width}"
            raise Refused(problem, sizes=(width, pairs))
        return kinds

    def torch(self, e: TorchEmitter, *args: str) -> str:
        name = "rotate" if self.layout == "half" else "rotate_interleaved"
        return f"{e.helper(name)}({', '.join(args)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        width, pairs = (known(kind.shape[-1])[0].value for kind in given(g.inputs)[:2])
        if g.profile == "base":
            return self._primitives(g, args, width, pairs)
        return g.op(
            "RotaryEmbedding",
            *args,
            interleaved=int(self.layout == "interleaved"),
            rotary_embedding_dim=None if 2 * pairs == width else 2 * pairs,
        )

    def _primitives(
        self, g: OnnxBuilder, args: tuple[str | None, ...], width: int, pairs: int
    ) -> Any:
        x = args[0]
        cos, sin = (g.op("Unsqueeze", table, g.const([1], DType.INT)) for table in args[1:])
        is_half = self.layout == "half"
        bounds = (
            ((0, pairs, 1), (pairs, 2 * pairs, 1))
            if is_half
            else ((0, 2 * pairs, 2), (1, 2 * pairs, 2))
        )
        left, right = (_part(g, x, *bound) for bound in bounds)
        first = g.op("Sub", g.op("Mul", left, cos), g.op("Mul", right, sin))
        second = g.op("Add", g.op("Mul", right, cos), g.op("Mul", left, sin))
        pieces = [first, second] if is_half else [_interleaved(g, first, second, pairs)]
        if 2 * pairs < width:
            pieces.append(_part(g, x, 2 * pairs, width, 1))
        return pieces[0] if len(pieces) == 1 else g.op("Concat", *pieces, axis=-1)


def _part(g: OnnxBuilder, x: str | None, start: int, stop: int, step: int) -> Any:
    """Channels start, start + step ... of every head."""
    bounds = (g.const([bound], DType.INT) for bound in (start, stop, -1, step))
    return g.op("Slice", x, *bounds)


def _interleaved(g: OnnxBuilder, first: str, second: str, pairs: int) -> Any:
    """Channels of two tensors in turn."""
    last = g.const([-1], DType.INT)
    both = g.op("Concat", g.op("Unsqueeze", first, last), g.op("Unsqueeze", second, last), axis=-1)
    return g.op("Reshape", both, g.shape([*known(*g.outputs[0].shape[:3]), Dim.of(2 * pairs)]))
