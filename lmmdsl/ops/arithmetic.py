"""Functions of two elements and more, with broadcasting as in NumPy.

Whole numbers beside floats become floats of the model's own precision.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.ops.axes import given
from lmmdsl.ops.base import Cases, OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast, promote
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

_SAMPLES = (
    case(x="2 5 3", y="5 3"),
    case(x="2 1 3", y="5 1"),
    case(x="2 5", y=""),
    case(x="int 2 5", y="5"),
    case(x="int 2 5", y=""),
)
_CLASH = case(x="2 5", y="2 4", problem="do not broadcast: 5 is not 4")


@dataclass(frozen=True, kw_only=True)
class Binary(Op):
    """A function of two elements: `sign` in torch, `kind` in ONNX."""

    signature: ClassVar[str] = "any x[*b], any y[*c] -> z[*b]"
    sign: ClassVar[str]
    kind: ClassVar[str]
    samples: ClassVar[Cases] = (*_SAMPLES, case(x="int 2 5", y="int 5"))
    refuses: ClassVar[Cases] = (_CLASH, case(x="bool 2", y="2", problem="needs numbers"))

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        x, y = given(inputs)
        return (TensorType(self.result(x.dtype, y.dtype), broadcast(x.shape, y.shape)),)

    def result(self, left: DType, right: DType) -> DType:
        """Element kind of the result; raises `Refused`."""
        if DType.BOOL in (left, right):
            raise Refused(f"`{self.name}` needs numbers, not bool")
        return promote(left, right)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        left, right = promoted(e, args)
        return f"{left} {self.sign} {right}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op(self.kind, *common(g, g.inputs, args))


def promoted(e: TorchEmitter, args: tuple[str, ...]) -> tuple[str, ...]:
    """Operands for torch, which would turn whole numbers beside a single float into single precision."""
    kinds = given(e.inputs)[-len(args) :]
    if not any(kind.dtype is DType.FLOAT and not kind.shape for kind in kinds):
        return args
    return tuple(
        f"{x}.to({e.dtype()})" if kind.dtype is DType.INT and kind.shape else x
        for x, kind in zip(args, kinds, strict=True)
    )


def common(g: OnnxBuilder, kinds: Types, args: tuple[str | None, ...]) -> list[str | None]:
    """Operands of one element kind: ONNX does not turn whole numbers into floats."""
    if len({kind.dtype for kind in kinds if kind}) == 1:
        return list(args)
    like = g.const(0.0, DType.FLOAT)
    return [
        g.op("CastLike", x, like) if kind and kind.dtype is DType.INT else x
        for x, kind in zip(args, kinds, strict=True)
    ]


@op
class Add(Binary):
    """x + y. Source: torch.add; ONNX Add-14."""

    name, sign, kind = "add", "+", "Add"


@op
class Sub(Binary):
    """x - y. Source: torch.sub; ONNX Sub-14."""

    name, sign, kind = "sub", "-", "Sub"


@op
class Mul(Binary):
    """x * y. Source: torch.mul; ONNX Mul-14."""

    name, sign, kind = "mul", "*", "Mul"


@op
class Div(Binary):
    """x / y, with a fraction. Source: torch.true_divide; ONNX Div-14."""

    name, sign, kind = "div", "/", "Div"
    samples = (case(x="2 5 3", y="5 3"), case(x="2 5", y=""), case(x="int 2 5", y=""))
    refuses = (_CLASH, case(x="int 2", y="int 2", problem="of two whole numbers"))

    def result(self, left: DType, right: DType) -> DType:
        if (left, right) == (DType.INT, DType.INT):
            raise Refused("`/` of two whole numbers gives a fraction: cast one of them to float")
        return super().result(left, right)


@dataclass(frozen=True, kw_only=True)
class Whole(Binary):
    """A function of two whole numbers."""

    samples: ClassVar[Cases] = (
        case(x="int 2 3: 7 -7 5 0 -1 4", y="int 3: 3 2 4"),
        case(x="int 4: -3 -2 -1 8", y="int: 3"),
    )
    refuses: ClassVar[Cases] = (
        case(x="int 2 5", y="int 2 4", problem="do not broadcast: 5 is not 4"),
        case(x="2 5", y="int 5", problem="needs whole numbers"),
    )

    def result(self, left: DType, right: DType) -> DType:
        if (left, right) != (DType.INT, DType.INT):
            raise Refused(f"`{self.name}` needs whole numbers, not {left.value} and {right.value}")
        return DType.INT


@op
class FloorDiv(Whole):
    """x // y, rounded down. Source: torch.floor_divide; ONNX Mod-13 and Div-14."""

    name, sign, kind = "floor_div", "//", "Div"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        # Div rounds towards zero, so what is left over goes first.
        return g.op("Div", g.op("Sub", args[0], g.op("Mod", *args)), args[1])


@op
class Remainder(Whole):
    """x % y, with the sign of y. Source: torch.remainder; ONNX Mod-13."""

    name, sign, kind = "remainder", "%", "Mod"


@op
class Pow(Binary):
    """x ** y. Source: torch.pow; ONNX Pow-15."""

    name, sign, kind = "pow", "**", "Pow"
    samples = (case(x="2 5", y="int 5"), case(x="2 5: .5 1 2 3 .1 .2 .3 4 5 6", y="5"))

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Pow", *common(g, g.inputs, args))


@dataclass(frozen=True, kw_only=True)
class Bound(Binary):
    """The larger or smaller of two elements; `side` is the argument of `clamp` that says the same."""

    side: ClassVar[str]

    def torch(self, e: TorchEmitter, *args: str) -> str:
        x, y = promoted(e, args)
        ranks = [len(kind.shape) for kind in given(e.inputs)]
        if ranks[0] and not ranks[1]:  # torch.maximum takes no plain numbers
            return f"{x}.clamp({self.side}={y})"
        if ranks[1] and not ranks[0]:
            return f"{y}.clamp({self.side}={x})"
        return f"torch.{self.sign}({x}, {y})"


@op
class Maximum(Bound):
    """The larger of two. Source: torch.maximum; ONNX Max-13."""

    name, sign, kind, side = "maximum", "maximum", "Max", "min"


@op
class Minimum(Bound):
    """The smaller of two. Source: torch.minimum; ONNX Min-13."""

    name, sign, kind, side = "minimum", "minimum", "Min", "max"


# ---- conditions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Comparison(Binary):
    """A condition on two numbers."""

    def result(self, left: DType, right: DType) -> DType:
        if DType.BOOL in (left, right):
            raise Refused(f"`{self.sign}` compares numbers, not bool")
        return DType.BOOL

    refuses: ClassVar[Cases] = (_CLASH, case(x="bool 2", y="2", problem="compares numbers"))


@op
class Equal(Comparison):
    """x == y. Source: torch.eq; ONNX Equal-13."""

    name, sign, kind = "equal", "==", "Equal"


@op
class NotEqual(Comparison):
    """x != y. Source: torch.ne; ONNX Equal-13 and Not-1."""

    name, sign, kind = "not_equal", "!=", "Equal"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Not", super().onnx(g, *args))


@op
class Less(Comparison):
    """x < y. Source: torch.lt; ONNX Less-13."""

    name, sign, kind = "less", "<", "Less"


@op
class LessEqual(Comparison):
    """x <= y. Source: torch.le; ONNX LessOrEqual-16."""

    name, sign, kind = "less_equal", "<=", "LessOrEqual"


@op
class Greater(Comparison):
    """x > y. Source: torch.gt; ONNX Greater-13."""

    name, sign, kind = "greater", ">", "Greater"


@op
class GreaterEqual(Comparison):
    """x >= y. Source: torch.ge; ONNX GreaterOrEqual-16."""

    name, sign, kind = "greater_equal", ">=", "GreaterOrEqual"


@dataclass(frozen=True, kw_only=True)
class Logical(Binary):
    """A function of two conditions."""

    samples: ClassVar[Cases] = (case(x="bool 2 5", y="bool 5"),)
    refuses: ClassVar[Cases] = (case(x="2 5", y="bool 5", problem="needs bool operands"),)

    def result(self, left: DType, right: DType) -> DType:
        if (left, right) != (DType.BOOL, DType.BOOL):
            raise Refused(f"`{self.name}` needs bool operands")
        return DType.BOOL


@op
class And(Logical):
    """Both. Source: torch.logical_and; ONNX And-7."""

    name, sign, kind = "logical_and", "&", "And"


@op
class Or(Logical):
    """Either or both. Source: torch.logical_or; ONNX Or-7."""

    name, sign, kind = "logical_or", "|", "Or"


@op
class Not(Op):
    """Not x. Source: torch.logical_not; ONNX Not-1."""

    name: ClassVar[str] = "logical_not"
    signature: ClassVar[str] = "bool x[*b] -> bool y[*b]"
    samples = (case(x="bool 2 5"),)
    refuses = (case(x="2 5", problem="must be bool"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"~{args[0]}"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Not", args[0])


@op
class Where(Op):
    """`yes` where the condition holds, `no` elsewhere. Source: torch.where; ONNX Where-16."""

    name: ClassVar[str] = "where"
    signature: ClassVar[str] = "bool condition[*b], any yes[*c], any no[*d] -> y[*b]"
    samples = (
        case(condition="bool 2 5", yes="2 5", no="5"),
        case(condition="bool 3", yes="int 3", no="int 3"),
        case(condition="bool 2 1", yes="int 3", no=""),
    )
    refuses = (
        case(condition="bool 2 5", yes="2 4", no="5", problem="do not broadcast"),
        case(condition="2 5", yes="2 5", no="5", problem="`condition` must be bool"),
        case(condition="bool 2 5", yes="bool 2 5", no="5", problem="bool and float"),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        condition, yes, no = given(inputs)
        if condition.dtype is not DType.BOOL:
            raise Refused(f"`condition` must be bool, but {condition} is {condition.dtype.value}")
        if yes.dtype is not no.dtype and DType.BOOL in (yes.dtype, no.dtype):
            raise Refused(f"`where` cannot choose between {yes.dtype.value} and {no.dtype.value}")
        kind = yes.dtype if yes.dtype is no.dtype else DType.FLOAT
        return (TensorType(kind, broadcast(condition.shape, broadcast(yes.shape, no.shape))),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        yes, no = promoted(e, args[1:])
        text = f"torch.where({args[0]}, {yes}, {no})"
        plain = not any(kind.shape for kind in given(e.inputs)[1:])
        return f"{text}.to({e.dtype()})" if plain and e.outputs[0].dtype is DType.FLOAT else text

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Where", args[0], *common(g, g.inputs[1:], args[1:]))
