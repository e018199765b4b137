"""Tensors out of nothing, and changes of element kind."""

from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import check_sizes, given, number
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

LONGEST_TABLE = 4096  # longer ones are computed


@op
class Arange(Op):
    """0, 1 ... size - 1.

    Source: torch.arange; ONNX Range-11.
    """

    name: ClassVar[str] = "arange"
    signature: ClassVar[str] = "-> int y[size]"
    size: Dim
    samples = tuple(case(attributes={"size": Dim.of(size)}) for size in (5, 0, 5000))
    refuses = (case(attributes={"size": Dim.of(-1)}, problem="`size` is -1"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        check_sizes("size", self.size)
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"torch.arange({e.dim(self.size)}, device={e.device()})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        if self.size.is_const and self.size.value <= LONGEST_TABLE:
            return g.const(list(range(self.size.value)), DType.INT)
        first, step = g.const(0, DType.INT), g.const(1, DType.INT)
        return g.op("Range", first, g.op("Squeeze", g.dim(self.size)), step)


@op
class Full(Op):
    """A tensor that holds one number, truth or falsehood everywhere.

    Source: torch.full; ONNX Expand-13.
    """

    name: ClassVar[str] = "full"
    signature: ClassVar[str] = "-> y[]"
    shape: tuple[Dim, ...]
    value: int | float | bool
    samples = (
        case(attributes={"shape": (Dim.of(2), Dim.of(3)), "value": 0.5}),
        case(attributes={"shape": (Dim.of(0), Dim.of(3)), "value": True}),
        case(attributes={"shape": (), "value": 7}),
    )

    @property
    def dtype(self) -> DType:
        """Element kind of the value."""
        return DType(type(self.value).__name__)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        check_sizes("shape", *self.shape)
        return (TensorType(self.dtype, self.shape),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        sizes = ", ".join(map(e.dim, self.shape)) + ("," if len(self.shape) == 1 else "")
        kind = f", dtype={e.dtype()}" if self.dtype is DType.FLOAT else ""
        return f"torch.full(({sizes}), {number(self.value)}{kind}, device={e.device()})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        value = g.const(self.value, self.dtype)
        return g.op("Expand", value, g.shape(self.shape)) if self.shape else g.op("Identity", value)


@op
class Cast(Op):
    """Another element kind: `to` is `int` (towards zero), `float` or `bool` (not 0).

    Source: torch.Tensor.to; ONNX Cast-13.
    """

    name: ClassVar[str] = "cast"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    to: str
    samples = (
        case(x="2 5: -1.5 -.5 0 .5 1.5 2.5 3 -3 .1 9", attributes={"to": "int"}),
        case(x="bool 2 5", attributes={"to": "float"}),
        case(x="bool 2 5", attributes={"to": "int"}),
        case(x="int 2 5", attributes={"to": "bool"}),
    )
    refuses = (
        case(
            x="2", attributes={"to": "half"}, problem="`to` is `float`, `int` or `bool`, not `half`"
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if self.to not in tuple(DType):
            raise Refused(f"`to` is `float`, `int` or `bool`, not `{self.to}`")
        return (TensorType(DType(self.to), given(inputs)[0].shape),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        if given(e.inputs)[0].dtype == self.to:
            return args[0]
        return (
            f"{args[0]}.to({e.dtype()})" if self.to == "float" else f"{args[0]}.{_WORDS[self.to]}()"
        )

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Cast", args[0], to=DType(self.to))


_WORDS = {"int": "long", "bool": "bool"}
