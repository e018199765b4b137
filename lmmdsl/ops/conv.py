"""Convolutions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType


@op
@dataclass(frozen=True, kw_only=True)
class Conv2d(Op):
    """Two-dimensional convolution with symmetric zero padding.

    Source: torch.nn.functional.conv2d; ONNX Conv-11.
    """

    name: ClassVar[str] = "conv2d"
    signature: ClassVar[str] = "x[b c h w], weight[o i k l], bias[o]? -> y[b o h w]"
    stride: int = 1
    padding: int = 0
    groups: int = 1
    samples = (
        case(x="2 3 14 21", weight="8 3 7 7", bias=None, attributes={"stride": 7}),
        case(
            x="2 4 9 7",
            weight="6 2 3 3",
            bias="6",
            attributes={"stride": 2, "padding": 1, "groups": 2},
        ),
    )
    refuses = (
        case(
            x="2 3 9 9", weight="6 2 3 3", bias=None, problem="has 3 channels, but `weight` takes 2"
        ),
        case(x="3 9 9", weight="6 3 3 3", bias=None, problem="must have axes"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        x, weight = inputs[:2]
        assert x is not None and weight is not None
        channels, taken = x.size(1), weight.size(1) * self.groups
        if channels != taken:
            raise Refused(
                f"`x` has {channels} channels, but `weight` takes {taken}", sizes=(channels, taken)
            )
        sides = [
            (size + 2 * self.padding - kernel) // self.stride + 1
            for size, kernel in ((x.size(axis), weight.size(axis)) for axis in (2, 3))
        ]
        return (TensorType(kind.dtype, (*kind.shape[:2], *sides)),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        options = "".join(f", {key}={value}" for key, value in self._options().items())
        bias = "" if args[2] == "None" else f", {args[2]}"
        return f"F.conv2d({args[0]}, {args[1]}{bias}{options})"

    def _options(self) -> dict[str, int]:
        plain = {"stride": 1, "padding": 0, "groups": 1}
        return {key: value for key, value in self.attributes.items() if value != plain[key]}

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        out, into, kernel, width = shapes["weight"]
        size = str(kernel) if kernel == width else f"({kernel}, {width})"
        options = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
        plain = {"stride": 1, "padding": 0, "groups": 1}
        extra = [f"{key}={value}" for key, value in options.items() if value != plain[key]]
        if "bias" not in shapes:
            extra.append("bias=False")
        return f"nn.Conv2d({', '.join([str(into * self.groups), str(out), f'kernel_size={size}', *extra])})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        pads = [self.padding] * 4
        return g.op("Conv", *args, strides=[self.stride] * 2, pads=pads, group=self.groups)

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        assert inputs[1] is not None
        return 2 * product(outputs[0].shape) * product(inputs[1].shape[1:])
