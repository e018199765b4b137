"""Operations element by element: activations, arithmetic, comparisons, choices."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast, promote
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

_ONE = (case(x="2 5 3"), case(x="7"))
_TWO = (case(x="2 5 3", y="5 3"), case(x="2 1 3", y="5 1"))
_CLASH = (case(x="2 5", y="2 4", problem="do not broadcast"),)


@dataclass(frozen=True, kw_only=True)
class Unary(Op):
    """One real function of each element."""

    signature: ClassVar[str] = "x[*b] -> y[*b]"
    text: ClassVar[str]  # with {x}
    kind: ClassVar[str]
    samples = _ONE

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return self.text.format(x=args[0])

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op(self.kind, args[0])


@op
@dataclass(frozen=True, kw_only=True)
class Relu(Unary):
    """max(x, 0). Source: torch.nn.functional.relu; ONNX Relu-14."""

    name, text, kind = "relu", "F.relu({x})", "Relu"


@op
@dataclass(frozen=True, kw_only=True)
class Sigmoid(Unary):
    """1 / (1 + exp(-x)). Source: torch.sigmoid; ONNX Sigmoid-13."""

    name, text, kind = "sigmoid", "torch.sigmoid({x})", "Sigmoid"


@op
@dataclass(frozen=True, kw_only=True)
class Tanh(Unary):
    """Hyperbolic tangent. Source: torch.tanh; ONNX Tanh-13."""

    name, text, kind = "tanh", "torch.tanh({x})", "Tanh"


@op
@dataclass(frozen=True, kw_only=True)
class Exp(Unary):
    """e ** x. Source: torch.exp; ONNX Exp-13."""

    name, text, kind = "exp", "torch.exp({x})", "Exp"


@op
@dataclass(frozen=True, kw_only=True)
class Sqrt(Unary):
    """Square root. Source: torch.sqrt; ONNX Sqrt-13."""

    name, text, kind = "sqrt", "torch.sqrt({x})", "Sqrt"


@op
@dataclass(frozen=True, kw_only=True)
class Sin(Unary):
    """Sine. Source: torch.sin; ONNX Sin-7."""

    name, text, kind = "sin", "torch.sin({x})", "Sin"


@op
@dataclass(frozen=True, kw_only=True)
class Cos(Unary):
    """Cosine. Source: torch.cos; ONNX Cos-7."""

    name, text, kind = "cos", "torch.cos({x})", "Cos"


@op
@dataclass(frozen=True, kw_only=True)
class Neg(Unary):
    """-x. Source: torch.neg; ONNX Neg-13."""

    name, text, kind = "neg", "-{x}", "Neg"


@op
@dataclass(frozen=True, kw_only=True)
class Silu(Unary):
    """x * sigmoid(x). Source: torch.nn.functional.silu; ONNX Sigmoid-13 and Mul-14, which runtimes fuse."""

    name, text, kind = "silu", "F.silu({x})", ""

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Mul", args[0], g.op("Sigmoid", args[0]))


@op
@dataclass(frozen=True, kw_only=True)
class QuickGelu(Unary):
    """x * sigmoid(1.702 x), the sigmoid approximation of gelu. Source: arXiv 1606.08415 section 2; com.microsoft QuickGelu."""

    name, text, kind = "quick_gelu", "", ""

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('quick_gelu')}({args[0]})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        if g.profile == "ort":
            return g.op("QuickGelu", args[0], domain="com.microsoft", alpha=1.702)
        return g.op(
            "Mul", args[0], g.op("Sigmoid", g.op("Mul", args[0], g.const(1.702, DType.FLOAT)))
        )


@op
@dataclass(frozen=True, kw_only=True)
class Gelu(Unary):
    """Gaussian error linear unit, exact or its tanh approximation.

    Source: torch.nn.functional.gelu; ONNX Gelu-20.
    """

    name, text, kind = "gelu", "", "Gelu"
    approximate: str = "none"
    samples = (*_ONE, case(x="2 5", attributes={"approximate": "tanh"}))

    def torch(self, e: TorchEmitter, *args: str) -> str:
        extra = "" if self.approximate == "none" else f', approximate="{self.approximate}"'
        return f"F.gelu({args[0]}{extra})"

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        if self.approximate not in ("none", "tanh"):
            raise Refused(f"`approximate` is `none` or `tanh`, not `{self.approximate}`")
        return super().infer(inputs)

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        if g.profile != "base":
            return g.op("Gelu", args[0], approximate=self.approximate)
        x = args[0]
        if self.approximate == "tanh":
            cube = g.op("Mul", g.op("Mul", x, x), x)
            inner = g.op("Add", x, g.op("Mul", cube, g.const(0.044715, DType.FLOAT)))
            gate = g.op("Tanh", g.op("Mul", inner, g.const(0.7978845608028654, DType.FLOAT)))
        else:
            gate = g.op("Erf", g.op("Div", x, g.const(2**0.5, DType.FLOAT)))
        half = g.op("Mul", x, g.const(0.5, DType.FLOAT))
        return g.op("Mul", half, g.op("Add", gate, g.const(1.0, DType.FLOAT)))


# ---- two operands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Binary(Op):
    """A function of two elements, with broadcasting."""

    signature: ClassVar[str] = "any x[*b], any y[*c] -> z[*b]"
    sign: ClassVar[str]
    kind: ClassVar[str]
    samples = _TWO
    refuses = _CLASH

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        x, y = inputs
        assert x is not None and y is not None
        return (TensorType(self.result(x.dtype, y.dtype), broadcast(x.shape, y.shape)),)

    def result(self, left: DType, right: DType) -> DType:
        """Element kind of the result; raises `Refused`."""
        if DType.BOOL in (left, right):
            raise Refused(f"`{self.name}` needs numbers, not bool")
        return promote(left, right)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{args[0]} {self.sign} {args[1]}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op(self.kind, *common(g, args))


def common(g: OnnxBuilder, args: tuple[str | None, ...]) -> list[str | None]:
    """Operands with one element kind: ONNX does not promote whole numbers to floats."""
    kinds = [kind.dtype for kind in g.inputs if kind]
    if len(set(kinds)) == 1:
        return list(args)
    like = g.const(0.0, DType.FLOAT)
    return [
        g.op("CastLike", x, like) if kind is DType.INT else x
        for x, kind in zip(args, kinds, strict=True)
    ]


@op
@dataclass(frozen=True, kw_only=True)
class Add(Binary):
    """x + y. Source: torch.add; ONNX Add-14."""

    name, sign, kind = "add", "+", "Add"


@op
@dataclass(frozen=True, kw_only=True)
class Sub(Binary):
    """x - y. Source: torch.sub; ONNX Sub-14."""

    name, sign, kind = "sub", "-", "Sub"


@op
@dataclass(frozen=True, kw_only=True)
class Mul(Binary):
    """x * y. Source: torch.mul; ONNX Mul-14."""

    name, sign, kind = "mul", "*", "Mul"


@op
@dataclass(frozen=True, kw_only=True)
class Div(Binary):
    """x / y, always with a fraction. Source: torch.true_divide; ONNX Div-14."""

    name, sign, kind = "div", "/", "Div"

    def result(self, left: DType, right: DType) -> DType:
        if (left, right) == (DType.INT, DType.INT):
            raise Refused("`/` of two whole numbers: use a float operand")
        return super().result(left, right)


@op
@dataclass(frozen=True, kw_only=True)
class Pow(Binary):
    """x ** y. Source: torch.pow; ONNX Pow-15."""

    name, sign, kind = "pow", "**", "Pow"
    samples = (case(x="2 5", y="5", high=2),)


@dataclass(frozen=True, kw_only=True)
class Comparison(Binary):
    """A condition on two elements."""

    def result(self, left: DType, right: DType) -> DType:
        promote(left, right)
        return DType.BOOL


@op
@dataclass(frozen=True, kw_only=True)
class Equal(Comparison):
    """x == y. Source: torch.eq; ONNX Equal-13."""

    name, sign, kind = "equal", "==", "Equal"
    samples = (case(x="int 2 5", y="int 5"),)


@op
@dataclass(frozen=True, kw_only=True)
class NotEqual(Comparison):
    """x != y. Source: torch.ne; ONNX Equal-13 and Not-1."""

    name, sign, kind = "not_equal", "!=", "Equal"
    samples = (case(x="int 2 5", y="int 5"),)

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Not", super().onnx(g, *args))


@op
@dataclass(frozen=True, kw_only=True)
class Less(Comparison):
    """x < y. Source: torch.lt; ONNX Less-13."""

    name, sign, kind = "less", "<", "Less"


@op
@dataclass(frozen=True, kw_only=True)
class LessEqual(Comparison):
    """x <= y. Source: torch.le; ONNX LessOrEqual-16."""

    name, sign, kind = "less_equal", "<=", "LessOrEqual"


@op
@dataclass(frozen=True, kw_only=True)
class Greater(Comparison):
    """x > y. Source: torch.gt; ONNX Greater-13."""

    name, sign, kind = "greater", ">", "Greater"


@op
@dataclass(frozen=True, kw_only=True)
class GreaterEqual(Comparison):
    """x >= y. Source: torch.ge; ONNX GreaterOrEqual-16."""

    name, sign, kind = "greater_equal", ">=", "GreaterOrEqual"


@dataclass(frozen=True, kw_only=True)
class Logical(Binary):
    """A function of two conditions."""

    samples = (case(x="bool 2 5", y="bool 5"),)
    refuses = (case(x="2 5", y="bool 5", problem="needs bool"),)

    def result(self, left: DType, right: DType) -> DType:
        if (left, right) != (DType.BOOL, DType.BOOL):
            raise Refused(f"`{self.name}` needs bool operands")
        return DType.BOOL


@op
@dataclass(frozen=True, kw_only=True)
class And(Logical):
    """x and y. Source: torch.logical_and; ONNX And-7."""

    name, sign, kind = "logical_and", "&", "And"


@op
@dataclass(frozen=True, kw_only=True)
class Or(Logical):
    """x or y. Source: torch.logical_or; ONNX Or-7."""

    name, sign, kind = "logical_or", "|", "Or"


@op
@dataclass(frozen=True, kw_only=True)
class Not(Unary):
    """not x. Source: torch.logical_not; ONNX Not-1."""

    name, text, kind = "logical_not", "~{x}", "Not"
    signature: ClassVar[str] = "bool x[*b] -> bool y[*b]"
    samples = (case(x="bool 2 5"),)


@op
@dataclass(frozen=True, kw_only=True)
class Where(Op):
    """yes where the condition holds, no elsewhere. Source: torch.where; ONNX Where-16."""

    name: ClassVar[str] = "where"
    signature: ClassVar[str] = "bool condition[*b], any yes[*c], any no[*d] -> y[*b]"
    samples = (
        case(condition="bool 2 5", yes="2 5", no="5"),
        case(condition="bool 3", yes="int 3", no="int 3"),
    )
    refuses = (case(condition="bool 2 5", yes="2 4", no="5", problem="do not broadcast"),)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        condition, yes, no = inputs
        assert condition is not None and yes is not None and no is not None
        if condition.dtype is not DType.BOOL:
            raise Refused("`condition` must be bool")
        kind = yes.dtype if yes.dtype is no.dtype else promote(yes.dtype, no.dtype)
        return (TensorType(kind, broadcast(condition.shape, broadcast(yes.shape, no.shape))),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"torch.where({', '.join(args)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        yes, no = args[1], args[2]
        kinds = [kind.dtype for kind in g.inputs[1:] if kind]
        if kinds[0] is not kinds[1]:
            like = g.const(0.0, DType.FLOAT)
            yes, no = (
                g.op("CastLike", x, like) if kind is DType.INT else x
                for x, kind in zip((yes, no), kinds, strict=True)
            )
        return g.op("Where", args[0], yes, no)
