"""Images: pooling, resizing, reading between pixels."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import check_sizes, closed, known
from lmmdsl.ops.base import Cases, OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, kw_only=True)
class Pool2d(Op):
    """One number per window of an image. With `ceil`, windows that begin inside the image count even if cut off."""

    signature: ClassVar[str] = "x[b c h w] -> y[b c h w]"
    word: ClassVar[str]
    kind: ClassVar[str]
    kernel: int
    stride: int | None = None  # the kernel's size
    padding: int = 0
    ceil: bool = False
    samples: ClassVar[Cases] = (
        case(x="2 3 8 6", attributes={"kernel": 2}),
        case(x="2 3 7 9", attributes={"kernel": 2, "ceil": True}),
        case(x="2 3 7 8", attributes={"kernel": 3, "stride": 2, "padding": 1}),
        case(x="1 2 6 5", attributes={"kernel": 3, "stride": 2, "padding": 1, "ceil": True}),
    )
    refuses: ClassVar[Cases] = (
        case(x="2 3 8", attributes={"kernel": 2}, problem="must have axes"),
        case(
            x="2 3 8 8", attributes={"kernel": 2, "padding": 2}, problem="more than half the kernel"
        ),
        case(x="2 3 8 8", attributes={"kernel": 0}, problem="`kernel` is 0"),
        case(x="2 3 8 8", attributes={"kernel": 2, "stride": 0}, problem="`stride` is 0"),
        case(x="2 3 1 8", attributes={"kernel": 2}, problem="a window of 2 does not fit into 1"),
    )

    @property
    def step(self) -> int:
        """Distance between windows."""
        return self.kernel if self.stride is None else self.stride

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        check_sizes("kernel", self.kernel, least=1)
        check_sizes("stride", self.step, least=1)
        check_sizes("padding", self.padding)
        if 2 * self.padding > self.kernel:
            raise Refused(
                f"a padding of {self.padding} is more than half the kernel of {self.kernel}"
            )
        batch, channels, *sides = closed(kind)
        return (TensorType(kind.dtype, (batch, channels, *map(self._side, sides))),)

    def _side(self, size: Dim) -> Dim:
        room = size + 2 * self.padding - self.kernel
        if room.is_const and room.value < 0:
            raise Refused(f"a window of {self.kernel} does not fit into {size}", sizes=(size,))
        if not self.ceil:
            return room // self.step + 1
        count = (room + self.step - 1) // self.step + 1
        if not size.is_const:
            if self.padding or self.step > self.kernel:
                raise Refused(
                    f"`ceil` with padding needs an image of known size, not {size}", sizes=(size,)
                )
            return count
        # A window must begin inside the image or in the padding before it.
        outside = (count.value - 1) * self.step >= size.value + self.padding
        return count - 1 if outside else count

    def torch(self, e: TorchEmitter, *args: str) -> str:
        options = [f"stride={self.stride}"] if self.stride is not None else []
        options += [f"padding={self.padding}"] if self.padding else []
        options += ["ceil_mode=True"] if self.ceil else []
        return f"F.{self.word}({', '.join([args[0], str(self.kernel), *options, *self.extra_options()])})"

    def extra_options(self) -> list[str]:
        """Further arguments in torch."""
        return []

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return self.windows(g, self.kind, args[0])

    def windows(self, g: OnnxBuilder, kind: str, x: str | None, **attributes: Any) -> Any:
        """Apply a pooling operation of ONNX."""
        return g.op(
            kind,
            x,
            kernel_shape=[self.kernel] * 2,
            strides=[self.step] * 2,
            pads=[self.padding] * 4,
            ceil_mode=int(self.ceil),
            **attributes,
        )


@op
class AvgPool2d(Pool2d):
    """Mean of every window; padding takes no part in it unless `count_padding`.

    Source: torch.nn.functional.avg_pool2d; ONNX AveragePool-11.
    """

    name, word, kind = "avg_pool2d", "avg_pool2d", "AveragePool"
    count_padding: bool = False
    samples = (
        *Pool2d.samples,
        case(
            x="2 3 7 8", attributes={"kernel": 3, "stride": 2, "padding": 1, "count_padding": True}
        ),
    )

    def extra_options(self) -> list[str]:
        return ["count_include_pad=False"] if self.padding and not self.count_padding else []

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return self.windows(g, self.kind, args[0], count_include_pad=int(self.count_padding))


@op
class MaxPool2d(Pool2d):
    """Largest of every window.

    Source: torch.nn.functional.max_pool2d; ONNX MaxPool-12.
    """

    name, word, kind = "max_pool2d", "max_pool2d", "MaxPool"


@op
class Resize2d(Op):
    """An image of another size: `mode` is `bicubic`, `bilinear` or `nearest`.

    With `align_corners` the corner pixels keep their places, else the corners of the image do.

    Source: torch.nn.functional.interpolate; ONNX Resize-18 (cubic factor -0.75).
    """

    name: ClassVar[str] = "resize2d"
    signature: ClassVar[str] = "x[b c h w] -> y[b c height width]"
    height: Dim
    width: Dim
    mode: str = "bilinear"
    align_corners: bool = False
    samples = tuple(
        case(x="2 3 4 5", attributes={"height": Dim.of(7), "width": Dim.of(3), "mode": mode, "align_corners": corners})
        for mode, corners in (
            ("bicubic", False), ("bicubic", True), ("bilinear", False), ("bilinear", True), ("nearest", False),
        )
    )  # fmt: skip
    refuses = (
        case(
            x="2 3 4 5",
            attributes={"height": Dim.of(7), "width": Dim.of(3), "mode": "area"},
            problem="`mode` is",
        ),
        case(
            x="3 4 5",
            attributes={"height": Dim.of(7), "width": Dim.of(3)},
            problem="must have axes",
        ),
        case(
            x="2 3 4 5",
            attributes={
                "height": Dim.of(7),
                "width": Dim.of(3),
                "mode": "nearest",
                "align_corners": True,
            },
            problem="has no corners to align",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if self.mode not in _MODES:
            raise Refused(f"`mode` is {', '.join(_MODES)}, not `{self.mode}`")
        if self.mode == "nearest" and self.align_corners:
            raise Refused("`nearest` has no corners to align")
        check_sizes("height", self.height, least=1)
        check_sizes("width", self.width, least=1)
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        corners = ", align_corners=True" if self.align_corners else ""
        size = f"({e.dim(self.height)}, {e.dim(self.width)})"
        return f'F.interpolate({args[0]}, size={size}, mode="{self.mode}"{corners})'

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        place = "align_corners" if self.align_corners else "half_pixel"
        return g.op(
            "Resize",
            args[0],
            None,
            None,
            g.shape(known(*g.outputs[0].shape)),
            mode=_MODES[self.mode],
            coordinate_transformation_mode="asymmetric" if self.mode == "nearest" else place,
            cubic_coeff_a=-0.75,
            nearest_mode="floor",
        )


_MODES = {"bicubic": "cubic", "bilinear": "linear", "nearest": "nearest"}


@op
class GridSample(Op):
    """Values between pixels, bilinear, at points x, y from -1 to 1; outside the image they are 0.

    With `align_corners`, -1 and 1 are the middles of the outermost pixels, else their outer edges.

    Source: torch.nn.functional.grid_sample; ONNX GridSample-16.
    """

    name: ClassVar[str] = "grid_sample"
    signature: ClassVar[str] = "x[b c h w], points[b m n 2] -> y[b c m n]"
    align_corners: bool = False
    samples = (
        case(x="2 3 4 5", points="2 7 1 2"),
        case(x="2 3 4 5", points="2 1 6 2", attributes={"align_corners": True}),
    )
    refuses = (case(x="2 3 4 5", points="2 7 1 3", problem="the axis of `points` is 3, not 2"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"F.grid_sample({args[0]}, {args[1]}, align_corners={self.align_corners})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        mode = "bilinear" if g.profile == "base" else "linear"  # renamed in opset 20
        return g.op(
            "GridSample",
            *args,
            mode=mode,
            padding_mode="zeros",
            align_corners=int(self.align_corners),
        )
