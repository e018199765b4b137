"""Expressions, types of signatures, and the base of all nodes."""

from dataclasses import dataclass

from lmmdsl.text.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """Base of all nodes."""

    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Syntax):
    """A number, string, `true`, `false` or `none`."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Syntax):
    """A name in scope."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Syntax):
    """`base.name`."""

    base: "Expr"
    name: str
    name_span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument(Syntax):
    """An argument of a call; `name` is None when positional."""

    name: str | None
    value: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallExpr(Syntax):
    """`function(arguments)`."""

    function: "Expr"
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceExpr(Syntax):
    """`start:stop` inside brackets; `*` is a slice without bounds."""

    start: "Expr | None"
    stop: "Expr | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexExpr(Syntax):
    """`base[items]`."""

    base: "Expr"
    items: "tuple[Expr | SliceExpr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Syntax):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Syntax):
    """An operator between two expressions; `|>` and `..` included."""

    operator: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Syntax):
    """`if condition then yes else no`."""

    condition: "Expr"
    yes: "Expr"
    no: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListExpr(Syntax):
    """`[a, b]` or `(a, b)`."""

    items: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comprehension(Syntax):
    """`[item for name in items if condition]`."""

    item: "Expr"
    name: str
    items: "Expr"
    condition: "Expr | None"


Expr = (
    Literal
    | Name
    | Member
    | CallExpr
    | IndexExpr
    | Unary
    | Binary
    | Choice
    | ListExpr
    | Comprehension
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAxis(Syntax):
    """`*name`: any number of leading axes."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeExpr(Syntax):
    """`kind[axes]`, with `?` when the argument may be absent."""

    kind: str | None
    axes: tuple[Expr | RestAxis, ...]
    optional: bool
