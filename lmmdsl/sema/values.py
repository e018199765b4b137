"""What an expression of the language can be worth.

Whole numbers are `Dim`s (so every number remembers where it comes from, and run-time sizes mix with known ones);
floats, booleans, strings, none and tuples are Python's; the rest is below. `POISON` stands for a value that could
not be computed: it is silent, so that one mistake gives one error.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Graph, Value
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType


class Poison:
    """The worth of a mistake."""

    def __repr__(self) -> str:
        return "poison"


POISON = Poison()


@dataclass(frozen=True, slots=True)
class OpRef:
    """A primitive operation, by name; a parameter such as `act = gelu` holds one."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class BlockRef:
    """A block of the language and the module that it was written in."""

    block: ast.Block
    module: "Scope"

    def __str__(self) -> str:
        return self.block.name


@dataclass(frozen=True, slots=True, eq=False)
class FunctionRef:
    """A free function and the module that it was written in."""

    function: ast.Method
    module: "Scope"

    def __str__(self) -> str:
        return self.function.name


@dataclass(frozen=True, slots=True)
class Builtin:
    """A word that the compiler itself understands: `states`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Made:
    """A block with its parameters bound, not yet a part."""

    definition: Definition
    span: Span


@dataclass(frozen=True, slots=True)
class PartRef:
    """A part of the definition at hand, or a part of a part, by dotted path. Several definitions make a stack."""

    path: str
    definitions: tuple[Definition, ...]
    stack: bool
    span: Span
    role: str | None = None

    @property
    def layers(self) -> "tuple[PartRef, ...]":
        """Every layer of a stack, as a part of its own."""
        return tuple(
            PartRef(f"{self.path}.{place}", (layer,), False, self.span, self.role)
            for place, layer in enumerate(self.definitions)
        )


@dataclass(frozen=True, slots=True)
class MethodRef:
    """A method of a part."""

    part: PartRef
    method: str


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the graph under construction."""

    value: Value
    type: TensorType


@dataclass(frozen=True, slots=True)
class Marks(Tensor):
    """Where a token stands, bool `[B, S]`; `[a:b]` takes some rows only of each run of a visual span."""

    token: str
    rows: int | None  # of one span; None where only the running model knows
    pick: "Callable[[int, int, Span], object]"


@dataclass(frozen=True, slots=True)
class ParamRef:
    """A learned tensor, by path; reading it in a method gives a `Tensor`."""

    path: str
    type: TensorType


@dataclass(frozen=True, slots=True)
class Called:
    """The result of a call that exposes values: `call.hidden[-2]`."""

    result: "object"
    exposed: Mapping[str, object]


def bundle(graph: Graph, results: tuple[Tensor, ...]) -> object:
    """Give a call's outputs their names back: `result`, `result.k`, `exposed`, `exposed.k`."""
    found: dict[str, object] = {}
    for (name, _), tensor in zip(graph.outputs, results, strict=True):
        head, _, rest = name.partition(".")
        previous = found.get(head, ())
        found[head] = (*previous, tensor) if rest and isinstance(previous, tuple) else tensor
    exposed = {name: value for name, value in found.items() if name in graph.exposes}
    returned = [value for name, value in found.items() if name not in graph.exposes]
    result = returned[0] if len(returned) == 1 else tuple(returned)  # several have names
    return Called(result, exposed) if exposed else result


@dataclass(slots=True)
class Scope:
    """Names visible at a place; lookups go outwards."""

    names: dict[str, object] = field(default_factory=dict)
    outer: "Scope | None" = None
    declared: dict[str, Span] = field(default_factory=dict)

    def find(self, name: str) -> object | None:
        """The value of a name, or None when there is none (`none` itself is stored as `Nothing`)."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.outer
        return None

    def has(self, name: str) -> bool:
        """Whether a name is visible."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.outer
        return False

    def known(self) -> tuple[str, ...]:
        """Every visible name, inner first."""
        scope: Scope | None = self
        found: dict[str, None] = {}
        while scope is not None:
            found |= dict.fromkeys(scope.names)
            scope = scope.outer
        return tuple(found)


def key(value: object) -> Hashable:
    """An identity for bindings: equal values give equal definitions."""
    match value:
        case Dim():
            return ("int", value.terms)
        case tuple():
            return ("list", tuple(key(item) for item in value))
        case Made():
            return ("made", id(value.definition))
        case PartRef():
            return ("part", value.path, tuple(map(id, value.definitions)))
        case BlockRef():
            return ("block", id(value.block))
        case FunctionRef():
            return ("fn", id(value.function))
        case OpRef() | Builtin():
            return (type(value).__name__, value.name)
        case bool() | float() | str() | None:
            return (type(value).__name__, value)
        case _:
            return ("other", id(value))


def describe(value: object) -> str:  # noqa: C901  (one case per kind)
    """What a value is, for messages."""
    match value:
        case Dim():
            return "a number" if value.is_const else "a size"
        case bool():
            return "true or false"
        case float():
            return f"{value}, a number with a fraction"
        case str():
            return f"the string {show(value)}" if len(value) < 40 else "a string"
        case None:
            return "none"
        case tuple():
            return "a list"
        case OpRef():
            return f"the operation `{value}`"
        case BlockRef():
            return f"the block `{value}`"
        case FunctionRef():
            return f"the function `{value}`"
        case Builtin():
            return f"the built-in `{value}`"
        case Made():
            return f"an instance of `{value.definition.block}`"
        case PartRef():
            return f"the part `{value.path}`"
        case MethodRef():
            return f"the method `{value.part.path}.{value.method}`"
        case Tensor() | ParamRef():
            return f"a tensor {value.type}"
        case Called():
            return describe(value.result)
        case _:
            return "nothing usable"


def show(value: object) -> str:
    """A value as it would be written."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(show, value))}]"
        case Made():
            return value.definition.block
        case Tensor() | ParamRef():
            return str(value.type)
        case PartRef() | MethodRef() | Called():
            return describe(value)
        case _:
            return str(value)
