"""Convolutions."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.ops.axes import check_sizes, given, known
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType

_PLAIN = {"stride": 1, "padding": 0, "dilation": 1}


@op
class Conv2d(Op):
    """Two-dimensional convolution with zero padding.

    `padding` is the same on all sides, or `same`, which keeps the size of the image (an odd number of zeros puts the
    extra one last).

    Source: torch.nn.functional.conv2d; ONNX Conv-11.
    """

    name: ClassVar[str] = "conv2d"
    signature: ClassVar[str] = "x[b c h w], weight[o i k l], bias[o]? -> y[b o h w]"
    stride: int = 1
    padding: int | str = 0
    dilation: int = 1
    groups: Dim = ONE
    samples = (
        case(x="2 3 14 21", weight="8 3 7 7", attributes={"stride": 7}),
        case(
            x="2 4 9 7",
            weight="6 2 3 3",
            bias="6",
            attributes={"stride": 2, "padding": 1, "groups": Dim.of(2)},
        ),
        case(x="2 3 5 6", weight="4 3 2 3", attributes={"padding": "same"}),
        case(x="2 3 9 9", weight="4 3 3 3", bias="4", attributes={"dilation": 2}),
    )
    refuses = (
        case(x="2 3 9 9", weight="6 2 3 3", problem="has 3 channels, but `weight` takes 2"),
        case(x="3 9 9", weight="6 3 3 3", problem="must have axes"),
        case(
            x="2 3 9 9",
            weight="6 3 3 3",
            attributes={"padding": "valid"},
            problem="a number or `same`",
        ),
        case(
            x="2 3 9 9",
            weight="6 3 3 3",
            attributes={"padding": "same", "stride": 2},
            problem="stride 1",
        ),
        case(x="2 3 2 9", weight="6 3 3 3", problem="a kernel of 3 does not fit into 2"),
        case(x="2 3 9 9", weight="6 3 3 3", attributes={"stride": 0}, problem="`stride` is 0"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        self._check()
        x, weight = given(inputs)[:2]
        channels, taken = x.shape[1], known(weight.shape[1])[0] * self.groups
        if channels != taken:
            raise Refused(
                f"`x` has {channels} channels, but `weight` takes {taken}",
                sizes=known(channels, taken),
            )
        sides = map(self._side, known(*x.shape[2:]), known(*weight.shape[2:]))
        return (TensorType(kind.dtype, (*kind.shape[:2], *sides)),)

    def _check(self) -> None:
        for name in ("stride", "dilation", "groups"):
            check_sizes(name, getattr(self, name), least=1)
        if not self.groups.is_const:
            raise Refused(f"`groups` must be known, but is {self.groups}")
        if isinstance(self.padding, int):
            check_sizes("padding", self.padding)
        if isinstance(self.padding, str) and self.padding != "same":
            raise Refused(f"`padding` is a number or `same`, not `{self.padding}`")
        if self.padding == "same" and self.stride != 1:
            raise Refused("`padding = same` goes with stride 1")

    def _side(self, size: Dim, kernel: Dim) -> Dim:
        if isinstance(self.padding, str):
            return size
        room = size + 2 * self.padding - self.dilation * (kernel - 1) - 1
        if room.is_const and room.value < 0:
            raise Refused(
                f"a kernel of {kernel} does not fit into {size + 2 * self.padding}",
                sizes=(size, kernel),
            )
        return room // self.stride + 1

    def _options(self, groups: str) -> list[str]:
        """Arguments that differ from torch's own; `groups` is the expression for their number."""
        values = {name: getattr(self, name) for name in _PLAIN}
        plain = [
            f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}"
            for name, value in values.items()
            if value != _PLAIN[name]
        ]
        return plain if self.groups == ONE else [*plain, f"groups={groups}"]

    def torch(self, e: TorchEmitter, *args: str) -> str:
        tensors = args[:2] if args[2] == "None" else args
        return f"F.conv2d({', '.join([*tensors, *self._options(e.dim(self.groups))])})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        out, into, kernel, width = shapes["weight"]
        size = str(kernel) if kernel == width else f"({kernel}, {width})"
        bias = [] if "bias" in shapes else ["bias=False"]
        options = [f"kernel_size={size}", *self._options(str(self.groups)), *bias]
        return f"nn.Conv2d({', '.join([str(into * self.groups), str(out), *options])})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op(
            "Conv",
            *args,
            strides=[self.stride] * 2,
            dilations=[self.dilation] * 2,
            group=self.groups.value,
            **(
                {"auto_pad": "SAME_UPPER"}
                if self.padding == "same"
                else {"pads": [self.padding] * 4}
            ),
        )

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        return 2 * product((*outputs[0].shape, *given(inputs)[1].shape[1:]))
