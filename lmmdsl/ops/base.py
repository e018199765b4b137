"""What an operation is.

An operation is a frozen dataclass of attributes and a pure function of tensors. One class holds everything the
compiler knows of it: its shape rule, its PyTorch and ONNX text, its cost, and the cases that test them. Parameters
(weights) are ordinary inputs; a library block declares them and passes them in.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar, dataclass_transform

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.signature import Types, infer_signature, parse_signature
from lmmdsl.types.tensor import DType, TensorType


class TorchEmitter(Protocol):
    """What an operation may ask of the PyTorch backend while it renders its expression.

    Operands arrive as text that may stand beside any operator and before `.` or `[`: a name, a call, a number, or
    an expression in parentheses.
    """

    @property
    def inputs(self) -> Types:
        """Types of the operands."""

    @property
    def outputs(self) -> tuple[TensorType, ...]:
        """Types of the results."""

    def dim(self, size: Dim) -> str:
        """Python expression for a size; run-time symbols become shapes of arguments."""

    def device(self) -> str:
        """Expression for the device of the method's arguments."""

    def dtype(self) -> str:
        """Expression for the model's own precision."""

    def helper(self, name: str) -> str:
        """Include a function of the emitted runtime (`backends/torch/runtime.py`) and give its name."""

    def cache(self) -> tuple[str, str]:
        """Expressions for the cache object and the index of this operation's entry."""


class OnnxBuilder(Protocol):
    """What an operation may ask of the ONNX backend. Values are names (`str`)."""

    @property
    def inputs(self) -> Types:
        """Types of the operands."""

    @property
    def outputs(self) -> tuple[TensorType, ...]:
        """Types of the results."""

    @property
    def profile(self) -> str:
        """`std`, `ort` or `base`."""

    def op(
        self, kind: str, *inputs: str | None, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> Any:
        """Add a node; gives its output name, or a tuple of names when `outputs` > 1."""

    def const(self, value: Any, dtype: DType) -> str:
        """A small constant tensor (number or nested list) of an element kind."""

    def dim(self, size: Dim) -> str:
        """A one-element int64 vector that holds a size."""

    def shape(self, sizes: Sequence[Dim | int]) -> str:
        """An int64 vector of sizes."""

    def past(self) -> tuple[str, str] | None:
        """Names of this operation's cached keys and values, or None in a graph without a cache."""

    def present(self, key: str, value: str) -> None:
        """Hand over the updated keys and values."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A test case: inputs by name (`None` leaves an optional one out) and attributes.

    An input is a string of sizes (`"2 5 8"`), with an optional kind (`"int 2 5"`, `"bool 2 7"`) and, after a colon,
    optional values (`"int 3: 4 0 1"`). `high` bounds random integers. For refusals, `problem` is a fragment of the
    message.
    """

    inputs: Mapping[str, str | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    high: int = 3


def case(
    *,
    attributes: Mapping[str, Any] | None = None,
    problem: str = "",
    high: int = 3,
    **inputs: str | None,
) -> Case:
    """Write a `Case` in one line: `case(x="2 5 8", weight="12 8")`; inputs that are not named are left out."""
    return Case(inputs=inputs, attributes=attributes or {}, problem=problem, high=high)


Cases = tuple[Case, ...]


@dataclass(frozen=True, kw_only=True)
class Op(ABC):
    """Base of all operations. Subclasses are frozen dataclasses; their fields are the attributes."""

    name: ClassVar[str]
    signature: ClassVar[str]
    samples: ClassVar[Cases] = ()
    refuses: ClassVar[Cases] = ()
    is_variadic: ClassVar[bool] = False  # takes any number of tensors
    extra: ClassVar[str] = ""  # the field that collects keywords of any name (`h = heads`)

    @classmethod
    def operands(cls) -> tuple[str, ...]:
        """Names of the tensor inputs, in order."""
        return tuple(term.name for term in parse_signature(cls.signature).inputs)

    @classmethod
    def is_optional(cls, operand: str) -> bool:
        """Whether a tensor input may be left out."""
        terms = parse_signature(cls.signature).inputs
        return any(term.optional for term in terms if term.name == operand)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        """Types of the outputs; raises `Refused`. The default follows `signature`."""
        return infer_signature(self.name, self.signature, self.attributes, inputs)

    @abstractmethod
    def torch(self, e: TorchEmitter, *args: str) -> str:
        """A Python expression; an absent optional argument arrives as "None"."""

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        """A `torch.nn` constructor call for a block that only applies this operation to its own parameters."""
        return None

    @abstractmethod
    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        """Emit nodes; gives the output name (or a tuple)."""

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        """Floating-point operations of matrix products and convolutions; 0 for the rest, as torch counts."""
        return Dim.of(0)

    @property
    def attributes(self) -> dict[str, Any]:
        """Attribute values by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


OPS: dict[str, type[Op]] = {}
T = TypeVar("T", bound=Op)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def op(cls: type[T]) -> type[T]:
    """Make a class an operation: a frozen dataclass, registered under its `name`.

    A class without attributes of its own keeps the methods that its base generated: start-up counts each one.
    """
    if cls.name in OPS:
        raise ValueError(f"operation `{cls.name}` is registered twice")
    attributes = [kind for kind in cls.__annotations__.values() if "ClassVar" not in str(kind)]
    made = dataclass(frozen=True, kw_only=True)(cls) if attributes else cls
    OPS[cls.name] = made
    return made
