"""Affine maps and matrix products."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import given, known
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast, product
from lmmdsl.ops.signature import Types
from lmmdsl.types.tensor import DType, TensorType


@op
class Linear(Op):
    """Affine map of the last axis: y = x W^T + b.

    Source: torch.nn.functional.linear; ONNX Gemm-13 with transB, com.microsoft FusedMatMul.
    """

    name: ClassVar[str] = "linear"
    signature: ClassVar[str] = "x[*b i], weight[o i], bias[o]? -> y[*b o]"
    samples = (
        case(x="2 5 8", weight="12 8", bias="12"),
        case(x="7 8", weight="3 8"),
        case(x="7 8", weight="3 8", bias="3"),
        case(x="8", weight="3 8"),
        case(x="0 5 8", weight="3 8", bias="3"),
    )
    refuses = (
        case(x="", weight="12 8", problem="must have axes"),
        case(x="2 7", weight="12 8", problem="axis `i` of `weight` is 8, not 7"),
        case(x="2 8", weight="12 8", bias="8", problem="axis `o` of `bias` is 8, not 12"),
    )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        x, weight, bias = args
        return f"F.linear({x}, {weight})" if bias == "None" else f"F.linear({x}, {weight}, {bias})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        out, into = shapes["weight"]
        return f"nn.Linear({into}, {out}{'' if 'bias' in shapes else ', bias=False'})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, weight, bias = args
        if g.profile == "ort":
            y = g.op("FusedMatMul", x, weight, domain="com.microsoft", transB=1)
            return g.op("Add", y, bias) if bias else y
        if len(g.outputs[0].shape) == 2:
            return g.op("Gemm", x, weight, bias, transB=1)
        into = given(g.inputs)[0].shape[-1]
        assert isinstance(into, Dim)
        rows = g.op("Reshape", x, g.shape([product(g.outputs[0].shape[:-1]), into]))
        return g.op(
            "Reshape",
            g.op("Gemm", rows, weight, bias, transB=1),
            g.shape(known(*g.outputs[0].shape)),
        )

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        return 2 * product((*outputs[0].shape, given(inputs)[1].shape[1]))


@op
class MatMul(Op):
    """Matrix product over the last two axes; leading axes broadcast.

    Source: torch.matmul; ONNX MatMul-13.
    """

    name: ClassVar[str] = "matmul"
    signature: ClassVar[str] = "x[*b n k], y[*c k m] -> z[*b n m]"
    samples = (
        case(x="2 3 5", y="2 5 7"),
        case(x="3 5", y="5 7"),
        case(x="2 4 3 5", y="5 7"),
        case(x="2 1 3 5", y="4 5 7"),
    )
    refuses = (
        case(x="2 3 5", y="2 4 7", problem="axis `k` of `y` is 4, not 5"),
        case(x="2 3 5", y="3 5 7", problem="do not broadcast"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        super().infer(inputs)
        x, y = given(inputs)
        lead = broadcast(x.shape[:-2], y.shape[:-2])
        return (TensorType(DType.FLOAT, (*lead, x.shape[-2], y.shape[-1])),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]} @ {args[1]}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("MatMul", *args)

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        return 2 * product((*outputs[0].shape, given(inputs)[0].shape[-1]))
