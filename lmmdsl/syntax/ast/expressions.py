"""Expressions, types of signatures, and the base of all nodes."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

from lmmdsl.text.source import Span

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def node(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass; nodes are told apart by identity, and have no generated text.

    Each generated method costs start-up time, once per class.
    """
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


@node
class Syntax:
    """Base of all nodes."""

    span: Span


@node
class Literal(Syntax):
    """A number, string, `true`, `false` or `none`."""

    value: int | float | str | bool | None


@node
class Name(Syntax):
    """A name in scope."""

    name: str


@node
class Member(Syntax):
    """`base.name`."""

    base: "Expr"
    name: str
    name_span: Span


@node
class Argument(Syntax):
    """An argument of a call; `name` is None when positional."""

    name: str | None
    value: "Expr"


@node
class CallExpr(Syntax):
    """`function(arguments)`."""

    function: "Expr"
    arguments: tuple[Argument, ...]


@node
class SliceExpr(Syntax):
    """`start:stop` inside brackets; `*` is a slice without bounds."""

    start: "Expr | None"
    stop: "Expr | None"


@node
class IndexExpr(Syntax):
    """`base[items]`."""

    base: "Expr"
    items: "tuple[Expr | SliceExpr, ...]"


@node
class Unary(Syntax):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: "Expr"


@node
class Binary(Syntax):
    """An operator between two expressions; `|>` and `..` included."""

    operator: str
    left: "Expr"
    right: "Expr"


@node
class Choice(Syntax):
    """`if condition then yes else no`."""

    condition: "Expr"
    yes: "Expr"
    no: "Expr"


@node
class ListExpr(Syntax):
    """`[a, b]` or `(a, b)`."""

    items: "tuple[Expr, ...]"


@node
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


@node
class RestAxis(Syntax):
    """`*name`: any number of leading axes."""

    name: str


@node
class TypeExpr(Syntax):
    """`kind[axes]`, with `?` when the argument may be absent."""

    kind: str | None
    axes: tuple[Expr | RestAxis, ...]
    optional: bool
