"""Affine maps and matrix products."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, Rest, TensorType


@op
@dataclass(frozen=True, kw_only=True)
class Linear(Op):
    """Affine map of the last axis: y = x W^T + b.

    Source: torch.nn.functional.linear; ONNX Gemm-13 with transB, com.microsoft FusedMatMul.
    """

    name: ClassVar[str] = "linear"
    signature: ClassVar[str] = "x[*b i], weight[o i], bias[o]? -> y[*b o]"
    samples = (
        case(x="2 5 8", weight="12 8", bias="12"),
        case(x="7 8", weight="3 8", bias=None),
        case(x="8", weight="3 8", bias=None),
    )
    refuses = (
        case(x="", weight="12 8", bias=None, problem="must have axes"),
        case(x="2 7", weight="12 8", bias=None, problem="axis `i` of `weight` is 8, not 7"),
    )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        x, weight, bias = args
        return f"F.linear({x}, {weight})" if bias == "None" else f"F.linear({x}, {weight}, {bias})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        out, into = shapes["weight"]
        return (
            f"nn.Linear({into}, {out})"
            if "bias" in shapes
            else f"nn.Linear({into}, {out}, bias=False)"
        )

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        x, weight, bias = args
        if g.profile == "ort":
            y = g.op("FusedMatMul", x, weight, domain="com.microsoft", transB=1)
            return g.op("Add", y, bias) if bias else y
        rank = len(g.outputs[0].shape)
        if rank == 2:
            return g.op("Gemm", x, weight, bias, transB=1)
        rows = g.op("Reshape", x, g.shape([-1, g.inputs[0].shape[-1]]))
        return g.op(
            "Reshape", g.op("Gemm", rows, weight, bias, transB=1), g.shape(g.outputs[0].shape)
        )

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        assert inputs[1] is not None
        return 2 * product(outputs[0].shape) * inputs[1].size(1)


@op
@dataclass(frozen=True, kw_only=True)
class MatMul(Op):
    """Batched matrix product over the last two axes; leading axes must agree.

    Source: torch.matmul; ONNX MatMul-13.
    """

    name: ClassVar[str] = "matmul"
    signature: ClassVar[str] = "x[*b n k], y[*b k m] -> z[*b n m]"
    samples = (case(x="2 3 5", y="2 5 7"), case(x="3 5", y="5 7"))
    refuses = (case(x="2 3 5", y="2 4 7", problem="axis `k` of `y` is 4, not 5"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        x, y = inputs
        if x is not None and y is not None and len(y.shape) == 2 and len(x.shape) > 2:
            if x.shape[-1] != y.shape[0]:
                raise Refused(
                    f"axis `k` of `y` is {y.shape[0]}, not {x.shape[-1]}", sizes=_sizes(x, y)
                )
            return (TensorType(DType.FLOAT, (*x.shape[:-1], y.shape[1])),)
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]} @ {args[1]}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("MatMul", *args)

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        assert inputs[0] is not None
        return 2 * product(outputs[0].shape) * inputs[0].size(-1)


def _sizes(*kinds: TensorType) -> tuple[Dim, ...]:
    return tuple(
        axis for axis in (kinds[0].shape[-1], kinds[1].shape[0]) if not isinstance(axis, Rest)
    )
