"""Functions along axes: sums, means, extremes, softmax, running sums."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.ops.axes import check_sizes, given, place, size_at, with_axis
from lmmdsl.ops.base import Cases, OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

_SAMPLES = (
    case(x="2 5 3", attributes={"axis": -1}),
    case(x="2 5 3", attributes={"axis": 1, "keep": True}),
    case(x="2 5 3", attributes={"axis": (0, 2)}),
)
_REFUSES = (
    case(x="2 5", attributes={"axis": 2}, problem="which has 2 axes"),
    case(x="2 5", attributes={"axis": (1, -1)}, problem="twice"),
)


@dataclass(frozen=True, kw_only=True)
class Reduce(Op):
    """One number per place of the axes that stay; with `keep` the others become 1."""

    signature: ClassVar[str] = "x[*b] -> y[*b]"
    word: ClassVar[str]
    kind: ClassVar[str]
    axis: int | tuple[int, ...]
    keep: bool = False
    samples: ClassVar[Cases] = _SAMPLES
    refuses: ClassVar[Cases] = _REFUSES

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that go."""
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        places = [place(axis, kind) for axis in self.axes]
        if len(set(places)) < len(places):
            raise Refused(f"`axis` names an axis of {kind} twice")
        for index in sorted(places, reverse=True):
            kind = with_axis(kind, index, *([ONE] if self.keep else []))
        return (kind,)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        keep = ", keepdim=True" if self.keep else ""
        return f"{args[0]}.{self.word}({self.axis}{self.extra_text()}{keep})"

    def extra_text(self) -> str:
        """Further arguments in torch."""
        return ""

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return self.reduced(g, self.kind, args[0], keep=self.keep)

    def reduced(self, g: OnnxBuilder, kind: str, x: str | None, *, keep: bool) -> Any:
        """Reduce along the axes with an operation of ONNX."""
        return g.op(kind, x, g.const(list(self.axes), DType.INT), keepdims=int(keep))


@op
class Mean(Reduce):
    """Mean. Source: torch.mean; ONNX ReduceMean-18."""

    name, word, kind = "mean", "mean", "ReduceMean"


@op
class Sum(Reduce):
    """Sum; conditions are counted. Source: torch.sum; ONNX ReduceSum-13."""

    name, word, kind = "sum", "sum", "ReduceSum"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    samples = (
        *_SAMPLES,
        case(x="int 2 5", attributes={"axis": 1}),
        case(x="bool 2 5", attributes={"axis": 1}),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        return (TensorType(DType.INT if kind.dtype is DType.BOOL else kind.dtype, kind.shape),)

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        is_bool = given(g.inputs)[0].dtype is DType.BOOL
        return super().onnx(g, g.op("Cast", args[0], to=DType.INT) if is_bool else args[0])


@op
class Max(Reduce):
    """Largest. Source: torch.amax; ONNX ReduceMax-18."""

    name, word, kind = "max", "amax", "ReduceMax"
    signature: ClassVar[str] = "number x[*b] -> number y[*b]"
    samples = (*_SAMPLES, case(x="int 2 5", attributes={"axis": 1}))


@op
class Min(Reduce):
    """Smallest. Source: torch.amin; ONNX ReduceMin-18."""

    name, word, kind = "min", "amin", "ReduceMin"
    signature: ClassVar[str] = "number x[*b] -> number y[*b]"
    samples = (*_SAMPLES, case(x="int 2 5", attributes={"axis": 1}))


@op
class Var(Reduce):
    """Variance: mean square of the distance to the mean, or the sum over n - `correction` instead of n.

    Source: torch.var; ONNX ReduceMean-18, ReduceSumSquare-18.
    """

    name, word = "var", "var"
    correction: int = 0
    samples = (*_SAMPLES, case(x="2 5 3", attributes={"axis": (1, 2), "correction": 1}))

    def extra_text(self) -> str:
        return f", correction={self.correction}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        distance = g.op("Sub", args[0], self.reduced(g, "ReduceMean", args[0], keep=True))
        if not self.correction:
            return self.reduced(g, "ReduceMean", g.op("Mul", distance, distance), keep=self.keep)
        total = self.reduced(g, "ReduceSumSquare", distance, keep=self.keep)
        kind = given(g.inputs)[0]
        count = product(kind.shape[place(axis, kind)] for axis in self.axes) - self.correction
        return g.op("Div", total, _float(g, count))


def _float(g: OnnxBuilder, size: Dim) -> Any:
    """A size as a number of the model's own precision."""
    if size.is_const:
        return g.const(float(size.value), DType.FLOAT)
    return g.op("Squeeze", g.op("Cast", g.dim(size), to=DType.FLOAT))


@dataclass(frozen=True, kw_only=True)
class Along(Op):
    """A function along one axis that keeps the shape."""

    signature: ClassVar[str] = "x[*b] -> y[*b]"
    axis: int = -1
    samples: ClassVar[Cases] = (case(x="2 5 3"), case(x="2 5 3", attributes={"axis": 1}))
    refuses: ClassVar[Cases] = _REFUSES[:1]

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        place(self.axis, given(inputs)[0])
        return super().infer(inputs)


@op
class Softmax(Along):
    """exp(x) / sum(exp(x)). Source: torch.softmax; ONNX Softmax-13."""

    name: ClassVar[str] = "softmax"

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}.softmax({self.axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Softmax", args[0], axis=self.axis)


@op
class CumSum(Along):
    """Running sum; conditions are counted. Source: torch.cumsum; ONNX CumSum-14."""

    name: ClassVar[str] = "cumsum"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
    samples = (*Along.samples, case(x="bool 2 5"), case(x="int 2 5", attributes={"axis": 0}))

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        return (TensorType(DType.INT if kind.dtype is DType.BOOL else kind.dtype, kind.shape),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]}.cumsum({self.axis})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        is_bool = given(g.inputs)[0].dtype is DType.BOOL
        x = g.op("Cast", args[0], to=DType.INT) if is_bool else args[0]
        return g.op("CumSum", x, g.const(self.axis, DType.INT))


@op
class ArgMax(Op):
    """Place of the largest along an axis, the first of equals. Source: torch.argmax; ONNX ArgMax-13."""

    name: ClassVar[str] = "argmax"
    signature: ClassVar[str] = "number x[*b] -> int y[*b]"
    axis: int = -1
    keep: bool = False
    samples = (case(x="2 5 3"), case(x="2 5 3", attributes={"axis": 1, "keep": True}))
    refuses = _REFUSES[:1]

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = super().infer(inputs)
        return (with_axis(kind, place(self.axis, kind), *([ONE] if self.keep else [])),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        keep = ", keepdim=True" if self.keep else ""
        return f"{args[0]}.argmax({self.axis}{keep})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("ArgMax", args[0], axis=self.axis, keepdims=int(self.keep))


@op
class TopK(Op):
    """The k largest along an axis in falling order, and their places; of equals the first come first.

    Source: torch.sort; ONNX TopK-11.
    """

    name: ClassVar[str] = "topk"
    signature: ClassVar[str] = "x[*b] -> values[*b], int places[*b]"
    k: Dim
    axis: int = -1
    samples = (
        case(x="2 5 3", attributes={"k": Dim.of(2)}),
        case(x="7 3", attributes={"k": Dim.of(3), "axis": 0}),
    )
    refuses = (case(x="2 5", attributes={"k": Dim.of(6)}, problem="the 6 largest of 5"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        x = given(inputs)[0]
        index = place(self.axis, x)
        size = size_at(x, index)
        check_sizes("k", self.k)
        if self.k.is_const and size.is_const and self.k.value > size.value:
            raise Refused(f"the {self.k} largest of {size}", sizes=(self.k, size))
        return tuple(with_axis(kind, index, self.k) for kind in super().infer(inputs))

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('largest')}({args[0]}, {e.dim(self.k)}{'' if self.axis == -1 else f', dim={self.axis}'})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("TopK", args[0], g.dim(self.k), outputs=2, axis=self.axis)
