"""Arguments to compile-time parameters."""

from lmmdsl.diag.codes.types import (
    ArgumentTwice,
    MissingArgument,
    TooManyArguments,
    UnknownArgument,
)
from lmmdsl.diag.suggest import nearest, within
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.sema.context import Context
from lmmdsl.sema.values import POISON
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span


def bind_parameters(
    callee: str,
    parameters: tuple[ast.Parameter, ...],
    positional: list[object],
    named: dict[str, object],
    at: ast.Expr,
    declared: Span,
    ctx: Context,
) -> dict[str, object] | None:
    """Match arguments with parameters by place and name.

    Reports:
        E0301 unknown names, E0302 missing ones (all at once), E0309 too many, E0311 one twice.
    """
    names = tuple(parameter.name for parameter in parameters)
    if len(positional) > len(names):
        ctx.sink.add(
            TooManyArguments(at=at.span, callee=callee, most=len(names), declared=declared)
        )
        return None
    given = dict(zip(names, positional, strict=False))
    needed = tuple(p.name for p in parameters if p.default is None)
    fine = True
    for name, value in named.items():
        place = argument_span(at, name)
        if name in given:
            ctx.sink.add(ArgumentTwice(at=place, callee=callee, name=name, first=at.span))
            fine = False
        elif name not in names:
            ctx.sink.add(
                UnknownArgument(
                    at=place, callee=callee, name=name, candidates=names, declared=declared
                )
            )
            fine = False
            # A misspelt argument is not missing as well.
            given |= dict.fromkeys(nearest(name, names)[:1], POISON)
        given[name] = value
    missing = tuple(name for name in needed if name not in given)
    if missing:
        ctx.sink.add(MissingArgument(at=at.span, callee=callee, names=missing, declared=declared))
    return given if fine and not missing else None


def argument_span(at: ast.Expr, name: str) -> Span:
    """Span of a named argument of a call."""
    if isinstance(at, ast.CallExpr):
        for item in at.arguments:
            if item.name == name:
                return within(item.span, name) or item.span
    return at.span


def remember(name: str, value: object) -> object:
    """A number that goes by a name says so in its derivation."""
    if isinstance(value, Dim) and value.is_const and value.why:
        text = f"{name} = {value}"
        if value.why.text == text:
            return value
        inputs = () if value.why.text == str(value) else (value.why,)
        return value.because(Why(text, value.why.span, inputs))
    return value
