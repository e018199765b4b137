"""Normalisations over the last axis."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.types.tensor import DType


@op
@dataclass(frozen=True, kw_only=True)
class LayerNorm(Op):
    """Zero mean and unit (biased) variance over the last axis, then scale and shift.

    Source: torch.nn.functional.layer_norm; ONNX LayerNormalization-17.
    """

    name: ClassVar[str] = "layer_norm"
    signature: ClassVar[str] = "x[*b d], weight[d], bias[d]? -> y[*b d]"
    eps: float = 1e-5
    samples = (
        case(x="2 5 8", weight="8", bias="8"),
        case(x="3 7", weight="7", bias=None, attributes={"eps": 1e-3}),
    )
    refuses = (case(x="2 5", weight="8", bias=None, problem="axis `d` of `weight` is 8, not 5"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        x, weight, bias = args
        return f"F.layer_norm({x}, ({e.dim(_width(e.inputs))},), {weight}, {bias}, eps={self.eps})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        (width,) = shapes["weight"]
        bias = "" if "bias" in shapes else ", bias=False"
        return f"nn.LayerNorm({width}, eps={self.eps}{bias})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("LayerNormalization", *args, axis=-1, epsilon=self.eps)


@op
@dataclass(frozen=True, kw_only=True)
class RmsNorm(Op):
    """Unit root mean square over the last axis, then scale.

    Source: torch.nn.functional.rms_norm; ONNX RMSNormalization-23.
    """

    name: ClassVar[str] = "rms_norm"
    signature: ClassVar[str] = "x[*b d], weight[d] -> y[*b d]"
    eps: float = 1e-6
    samples = (case(x="2 5 8", weight="8"), case(x="3 7", weight="7", attributes={"eps": 1e-3}))
    refuses = (case(x="2 5", weight="8", problem="axis `d` of `weight` is 8, not 5"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"F.rms_norm({args[0]}, ({e.dim(_width(e.inputs))},), {args[1]}, eps={self.eps})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        (width,) = shapes["weight"]
        return f"nn.RMSNorm({width}, eps={self.eps})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, weight = args
        if g.profile == "std":
            return g.op("RMSNormalization", x, weight, axis=-1, epsilon=self.eps)
        if g.profile == "ort":
            # ONNX Runtime keeps this contrib operation in the default domain, since version 1.
            return g.op(
                "SimplifiedLayerNormalization", x, weight, axis=-1, epsilon=self.eps, stash_type=1
            )
        mean = g.op("ReduceMean", g.op("Mul", x, x), g.const([-1], DType.INT), keepdims=1)
        scale = g.op("Sqrt", g.op("Add", mean, g.const(self.eps, DType.FLOAT)))
        return g.op("Mul", g.op("Div", x, scale), weight)


def _width(inputs: Any) -> Dim:
    return inputs[0].shape[-1]  # type: ignore[no-any-return]
