"""Normalisations over the last axis."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import given, number, place
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Types
from lmmdsl.types.tensor import DType, TensorType


@op
class LayerNorm(Op):
    """Zero mean and unit (biased) variance over the last axis, then scale and shift if given.

    Source: torch.nn.functional.layer_norm; ONNX LayerNormalization-17.
    """

    name: ClassVar[str] = "layer_norm"
    signature: ClassVar[str] = "x[*b d], weight[d]?, bias[d]? -> y[*b d]"
    eps: float = 1e-5
    samples = (
        case(x="2 5 8", weight="8", bias="8"),
        case(x="3 7", weight="7", attributes={"eps": 1e-3}),
        case(x="3 7"),
    )
    refuses = (case(x="2 5", weight="8", problem="axis `d` of `weight` is 8, not 5"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        options = [
            f"{name}={text}"
            for name, text in zip(("weight", "bias"), args[1:], strict=True)
            if text != "None"
        ]
        width = e.dim(_width(e.inputs))
        return (
            f"F.layer_norm({', '.join([args[0], f'({width},)', *options])}, eps={number(self.eps)})"
        )

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        (width,) = shapes["weight"]
        bias = "" if "bias" in shapes else ", bias=False"
        return f"nn.LayerNorm({width}, eps={number(self.eps)}{bias})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, weight, bias = args
        if weight is None:
            weight = g.op("Expand", g.const([1.0], DType.FLOAT), g.shape([_width(g.inputs)]))
        return g.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=self.eps)


@op
class RmsNorm(Op):
    """Unit root mean square over the last axis, then scale; statistics in single precision.

    Source: torch.nn.functional.rms_norm; ONNX RMSNormalization-23.
    """

    name: ClassVar[str] = "rms_norm"
    signature: ClassVar[str] = "x[*b d], weight[d] -> y[*b d]"
    eps: float = 1e-6
    samples = (
        case(x="2 5 8", weight="8"),
        case(x="3 7", weight="7", attributes={"eps": 1e-3}),
    )
    refuses = (case(x="2 5", weight="8", problem="axis `d` of `weight` is 8, not 5"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"F.rms_norm({args[0]}, ({e.dim(_width(e.inputs))},), {args[1]}, eps={number(self.eps)})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        (width,) = shapes["weight"]
        return f"nn.RMSNorm({width}, eps={number(self.eps)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, weight = args
        if g.profile != "base":
            return g.op("RMSNormalization", x, weight, axis=-1, epsilon=self.eps)
        # Squares of half precision numbers overflow. Runtimes know this norm by its `Pow`.
        wide = g.op("Cast", x, to=1)
        mean = g.op(
            "ReduceMean",
            g.op("Pow", wide, g.op("Constant", value_float=2.0)),
            g.const([-1], DType.INT),
            keepdims=1,
        )
        eps = g.op("Constant", value_float=self.eps)
        unit = g.op("Div", wide, g.op("Sqrt", g.op("Add", mean, eps)))
        return g.op("Mul", g.op("CastLike", unit, x), weight)


@op
class Normalize(Op):
    """x / max(length of x, eps) along an axis (L2).

    Source: torch.nn.functional.normalize; ONNX ReduceL2-18.
    """

    name: ClassVar[str] = "normalize"
    signature: ClassVar[str] = "x[*b] -> y[*b]"
    axis: int = -1
    eps: float = 1e-12
    samples = (case(x="2 5 8"), case(x="2 5 8", attributes={"axis": 1, "eps": 0.5}))
    refuses = (case(x="2 5", attributes={"axis": 2}, problem="which has 2 axes"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        place(self.axis, given(inputs)[0])
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        eps = "" if self.eps == 1e-12 else f", eps={number(self.eps)}"
        return f"F.normalize({args[0]}, dim={self.axis}{eps})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        length = g.op("ReduceL2", args[0], g.const([self.axis], DType.INT), keepdims=1)
        return g.op("Div", args[0], g.op("Max", length, g.const(self.eps, DType.FLOAT)))


def _width(inputs: Types) -> Dim:
    width = given(inputs)[0].shape[-1]
    assert isinstance(width, Dim)
    return width
