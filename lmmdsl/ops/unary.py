"""Functions of one element: activations, roots, exponentials, signs."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.ops.axes import given, number
from lmmdsl.ops.base import Cases, OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

_SAMPLES = (case(x="2 5 3"), case(x="7"), case(x=""))
_POSITIVE = (case(x="2 3: .1 .5 1 2 3.5 9"), case(x=": 4"))


@dataclass(frozen=True, kw_only=True)
class Unary(Op):
    """One function of each element: `text` in torch (with `{x}`), `kind` in ONNX."""

    signature: ClassVar[str] = "x[*b] -> y[*b]"
    text: ClassVar[str]
    kind: ClassVar[str]
    samples: ClassVar[Cases] = _SAMPLES
    refuses: ClassVar[Cases] = (case(x="int 2 5", problem="must be float"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return self.text.format(x=args[0])

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op(self.kind, args[0])


@op
class Relu(Unary):
    """max(x, 0). Source: torch.nn.functional.relu; ONNX Relu-14."""

    name, text, kind = "relu", "F.relu({x})", "Relu"


@op
class Sigmoid(Unary):
    """1 / (1 + exp(-x)). Source: torch.sigmoid; ONNX Sigmoid-13."""

    name, text, kind = "sigmoid", "torch.sigmoid({x})", "Sigmoid"


@op
class Tanh(Unary):
    """Hyperbolic tangent. Source: torch.tanh; ONNX Tanh-13."""

    name, text, kind = "tanh", "torch.tanh({x})", "Tanh"


@op
class Silu(Unary):
    """x * sigmoid(x). Source: torch.nn.functional.silu; ONNX Sigmoid-13 and Mul-14, which runtimes fuse."""

    name, text = "silu", "F.silu({x})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Mul", args[0], g.op("Sigmoid", args[0]))


@op
class QuickGelu(Unary):
    """x * sigmoid(1.702 x). Source: arXiv 1606.08415 section 2; com.microsoft QuickGelu."""

    name = "quick_gelu"

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('quick_gelu')}({args[0]})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        if g.profile == "ort":
            return g.op("QuickGelu", args[0], domain="com.microsoft", alpha=1.702)
        gate = g.op("Sigmoid", g.op("Mul", args[0], g.const(1.702, DType.FLOAT)))
        return g.op("Mul", args[0], gate)


@op
class Gelu(Unary):
    """Gaussian error linear unit: `approximate` is `none` or `tanh`.

    Source: torch.nn.functional.gelu; ONNX Gelu-20.
    """

    name = "gelu"
    approximate: str = "none"
    samples = (*_SAMPLES, case(x="2 5", attributes={"approximate": "tanh"}))
    refuses = (
        case(x="2 5", attributes={"approximate": "erf"}, problem="`none` or `tanh`, not `erf`"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if self.approximate not in ("none", "tanh"):
            raise Refused(f"`approximate` is `none` or `tanh`, not `{self.approximate}`")
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        extra = "" if self.approximate == "none" else f', approximate="{self.approximate}"'
        return f"F.gelu({args[0]}{extra})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        if g.profile != "base":
            return g.op("Gelu", args[0], approximate=self.approximate)
        half = g.op("Mul", args[0], g.const(0.5, DType.FLOAT))
        gate = self._tanh(g, args[0]) if self.approximate == "tanh" else self._erf(g, args[0])
        return g.op("Mul", half, g.op("Add", gate, g.const(1.0, DType.FLOAT)))

    def _erf(self, g: OnnxBuilder, x: str | None) -> Any:
        return g.op("Erf", g.op("Div", x, g.const(2**0.5, DType.FLOAT)))

    def _tanh(self, g: OnnxBuilder, x: str | None) -> Any:
        cube = g.op("Mul", g.op("Mul", x, x), x)
        inner = g.op("Add", x, g.op("Mul", cube, g.const(0.044715, DType.FLOAT)))
        return g.op("Tanh", g.op("Mul", inner, g.const(0.7978845608028654, DType.FLOAT)))


@op
class Exp(Unary):
    """e ** x. Source: torch.exp; ONNX Exp-13."""

    name, text, kind = "exp", "torch.exp({x})", "Exp"


@op
class Log(Unary):
    """Natural logarithm. Source: torch.log; ONNX Log-13."""

    name, text, kind = "log", "torch.log({x})", "Log"
    samples = _POSITIVE


@op
class Sqrt(Unary):
    """Square root. Source: torch.sqrt; ONNX Sqrt-13."""

    name, text, kind = "sqrt", "torch.sqrt({x})", "Sqrt"
    samples = _POSITIVE


@op
class Rsqrt(Unary):
    """1 / sqrt(x). Source: torch.rsqrt; ONNX Sqrt-13 and Reciprocal-13."""

    name, text = "rsqrt", "torch.rsqrt({x})"
    samples = _POSITIVE

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Reciprocal", g.op("Sqrt", args[0]))


@op
class Sin(Unary):
    """Sine. Source: torch.sin; ONNX Sin-7."""

    name, text, kind = "sin", "torch.sin({x})", "Sin"


@op
class Cos(Unary):
    """Cosine. Source: torch.cos; ONNX Cos-7."""

    name, text, kind = "cos", "torch.cos({x})", "Cos"


@dataclass(frozen=True, kw_only=True)
class Signed(Unary):
    """A function of whole numbers too."""

    signature: ClassVar[str] = "number x[*b] -> number y[*b]"
    samples: ClassVar[Cases] = (*_SAMPLES, case(x="int 2 5"))
    refuses: ClassVar[Cases] = (case(x="bool 2 5", problem="must be float or int"),)


@op
class Neg(Signed):
    """-x. Source: torch.neg; ONNX Neg-13."""

    name, text, kind = "neg", "-{x}", "Neg"


@op
class Abs(Signed):
    """|x|. Source: torch.abs; ONNX Abs-13."""

    name, text, kind = "abs", "{x}.abs()", "Abs"


@op
class Square(Signed):
    """x * x. Source: torch.square; ONNX Mul-14."""

    name, text = "square", "{x}.square()"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Mul", args[0], args[0])


@op
class Floor(Unary):
    """The largest whole number not above x. Source: torch.floor; ONNX Floor-13."""

    name, text, kind = "floor", "torch.floor({x})", "Floor"


@op
class Clamp(Signed):
    """x, but no less than `low` and no more than `high`.

    Source: torch.clamp; ONNX Clip-13.
    """

    name = "clamp"
    low: int | float | None = None
    high: int | float | None = None
    samples = (
        case(x="2 5", attributes={"low": -0.5, "high": 0.5}),
        case(x="2 5", attributes={"high": 0}),
        case(x="int 2 5", attributes={"low": 1}),
    )
    refuses = (
        case(
            x="int 2 5",
            attributes={"low": 0.5},
            problem="`low` is 0.5, but `x` holds whole numbers",
        ),
        case(x="2 5", problem="`low`, `high` or both"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if self.low is None and self.high is None:
            raise Refused("`clamp` needs `low`, `high` or both")
        for name, bound in (("low", self.low), ("high", self.high)):
            if isinstance(bound, float) and given(inputs)[0].dtype is DType.INT:
                raise Refused(f"`{name}` is {number(bound)}, but `x` holds whole numbers")
        return super().infer(inputs)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        bounds = [
            f"{name}={number(bound)}"
            for name, bound in (("min", self.low), ("max", self.high))
            if bound is not None
        ]
        return f"{args[0]}.clamp({', '.join(bounds)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        kind = given(g.inputs)[0].dtype
        low, high = (
            None if bound is None else g.const(bound, kind) for bound in (self.low, self.high)
        )
        return g.op("Clip", args[0], low, high)
