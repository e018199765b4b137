"""Methods: statements to a dataflow graph."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from lmmdsl.diag.codes.names import DuplicateName, ShadowedPart
from lmmdsl.diag.codes.shapes import WrongResult
from lmmdsl.diag.codes.types import NoResult, RequireFailed, WrongKind
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Graph
from lmmdsl.sema import calls, expr, signature
from lmmdsl.sema.builder import GraphBuilder
from lmmdsl.sema.context import Context, Thunk
from lmmdsl.sema.unify import Matched
from lmmdsl.sema.values import (
    POISON,
    Called,
    ParamRef,
    PartRef,
    Poison,
    Scope,
    Tensor,
    describe,
    show,
)
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import Rest, TensorType


@dataclass
class Results:
    """What a body gave: returned values by name, and exposed values."""

    returned: list[tuple[str | None, object, Span]] | None = None
    exposed: dict[str, object] = field(default_factory=dict)
    exposed_at: dict[str, Span] = field(default_factory=dict)


def elaborate_method(method: ast.Method, ctx: Context) -> Graph | None:
    """The graph of a method, or None after reporting.

    Reports:
        E0402 when the result is not what the signature promises; whatever the body reports.
    """
    graph = GraphBuilder()
    scope = Scope(outer=ctx.scope)
    inner = Context(ctx.state, scope, graph, is_flow=ctx.is_flow)
    fresh: set[str] = set()
    for declared in method.inputs:
        _check_shadow(declared.name, declared.span, inner)
        kind = signature.tensor_type(declared.type, inner, fresh)
        if kind is None:
            return None
        scope.names[declared.name] = graph.input(declared.name, kind, declared.span)
    results = Results()
    run(method.body, inner, results)
    returned = check_results(method, results, inner)
    if returned is None:
        return None
    if not _named_apart(method, results, inner):
        return None
    outputs = tuple((name, tensor.value) for name, tensor in (*returned, *_exposed(results, inner)))
    made = graph.finish(outputs, method.span, method.doc)
    return replace(made, exposes=frozenset(results.exposed))


def _named_apart(method: ast.Method, results: Results, ctx: Context) -> bool:
    """Whether no value is exposed under the name of a result (else E0202)."""
    clashes = [item for item in method.results if item.name in results.exposed]
    for item in clashes:
        at = results.exposed_at[item.name or ""]
        ctx.sink.add(DuplicateName(at=at, name=item.name or "", first=item.span))
    return not clashes


def run(body: Iterable[ast.Syntax], ctx: Context, results: Results) -> None:
    """Run statements in order; stops at `return`."""
    for statement in body:
        if results.returned is not None:
            return
        ctx.state.step(statement.span)
        match statement:
            case ast.Assign():
                _assign(statement, ctx)
            case ast.Return(values=values):
                results.returned = [
                    (item.name, _tensor(expr.evaluate(item.value, ctx), item.span, ctx), item.span)
                    for item in values
                ]
            case ast.Expose():
                _expose(statement, ctx, results)
            case ast.Require():
                check_require(statement, ctx)
            case ast.If():
                chosen = expr.truth(statement.condition, ctx)
                if chosen is not None:
                    run(statement.yes if chosen else statement.no, ctx, results)
            case ast.For():
                _loop(statement, ctx, results)


def _assign(statement: ast.Assign, ctx: Context) -> None:
    value = expr.evaluate(statement.value, ctx)
    names = statement.names
    if len(names) > 1 and isinstance(value, Called):
        value = value.result
    if len(names) == 1:
        values: tuple[object, ...] = (value,)
    elif isinstance(value, tuple) and len(value) == len(names):
        values = value
    else:
        if not isinstance(value, Poison):
            found = f"{len(value)} values" if isinstance(value, tuple) else describe(value)
            ctx.sink.add(
                WrongKind(
                    at=statement.span,
                    what="the right side",
                    wanted=f"{len(names)} values",
                    found=found,
                )
            )
        values = (POISON,) * len(names)
    for name, item in zip(names, values, strict=True):
        hidden = _check_shadow(name.name, name.span, ctx)
        ctx.scope.names[name.name] = POISON if hidden else item
        if isinstance(item, Tensor) and ctx.graph is not None:
            ctx.graph.names.setdefault(item.value, name.name)


def _check_shadow(name: str, at: Span, ctx: Context) -> bool:
    known = ctx.scope.outer.find(name) if ctx.scope.outer else None
    if not isinstance(known, Thunk) or not isinstance(known.value, PartRef | ParamRef):
        return False
    if name not in ctx.scope.names:
        ctx.sink.add(ShadowedPart(at=at, name=name, first=known.span))
    return True


def _expose(statement: ast.Expose, ctx: Context, results: Results) -> None:
    if statement.name in results.exposed or statement.name == "result":
        ctx.sink.add(
            DuplicateName(
                at=statement.span,
                name=statement.name,
                first=results.exposed_at.get(statement.name, statement.span),
            )
        )
        return
    value = calls.as_tensor_if_param(expr.evaluate(statement.value, ctx), ctx, statement.span)
    results.exposed[statement.name] = value
    results.exposed_at[statement.name] = statement.span
    ctx.scope.names[statement.name] = value


def _loop(statement: ast.For, ctx: Context, results: Results) -> None:
    for item in expr.loop_items(statement.items, ctx) or ():
        ctx.scope.names[statement.name] = item
        run(statement.body, ctx, results)


def check_require(statement: ast.Require, ctx: Context, at: Span | None = None) -> bool:
    """Check a `require`; gives whether the block may be elaborated further.

    Reports:
        E0304 at the place that bound the parameters (`at`), with the values at hand.
    """
    holds = expr.truth(statement.condition, ctx)
    if holds is not False:
        return bool(holds)  # a condition that cannot be worked out has been reported
    values = []
    for operand in {item.span.text: item for item in _operands(statement.condition)}.values():
        value = expr.evaluate(operand, ctx)
        values.append((operand.span.text, value if isinstance(value, Dim) else show(value)))
    ctx.sink.add(
        RequireFailed(
            at=at or statement.span,
            requirement=statement.condition.span.text,
            reason=statement.message or "",
            declared=statement.span,
            values=tuple(values),
        )
    )
    return False


def _operands(expression: ast.Expr) -> Iterable[ast.Expr]:
    """The names, members and entries that a condition is about."""
    match expression:
        case ast.Name() | ast.Member() | ast.IndexExpr():
            yield expression
        case ast.Binary(left=left, right=right):
            yield from _operands(left)
            yield from _operands(right)
        case ast.Unary(operand=operand):
            yield from _operands(operand)


# ---- results ---------------------------------------------------------------------------------------------------------


def _tensor(value: object, at: Span, ctx: Context) -> object:
    value = calls.as_tensor_if_param(value, ctx, at)
    if isinstance(value, Dim) and ctx.graph is not None:
        return ctx.graph.size(value, at)
    return value


def check_results(
    method: ast.Method, results: Results, ctx: Context, matched: Matched | None = None
) -> list[tuple[str, Tensor]] | None:
    """What a body returned, by name, or None after reporting.

    Args:
        method: the method or free function.
        results: what its body gave.
        ctx: the place after the body ran.
        matched: sizes bound by the call, for a function that runs in place.

    Reports:
        E0402 for a result other than promised, E0303 for another number of results.
    """
    promised = [signature.tensor_type(result.type, ctx) for result in method.results]
    if matched is not None:
        promised = [matched.result(want) if want else None for want in promised]
    if results.returned is None:
        ctx.sink.add(NoResult(at=method.name_span, method=method.name))
        return None
    values = results.returned
    if len(values) == 1 and isinstance(values[0][1], tuple):
        values = [(None, item, values[0][2]) for item in values[0][1]]
    if len(values) != len(promised):
        ctx.sink.add(
            WrongKind(
                at=values[0][2] if values else method.name_span,
                what=f"`{method.name}`",
                wanted=f"{len(promised)} results",
                found=f"{len(values)}",
            )
        )
        return None
    returned: list[tuple[str, Tensor]] = []
    for place, (declared, want, (name, value, at)) in enumerate(
        zip(method.results, promised, values, strict=True)
    ):
        plain = "result" if len(values) == 1 else f"result.{place}"
        if want is None or isinstance(value, Poison):
            return None
        if not isinstance(value, Tensor):
            ctx.sink.add(
                WrongKind(at=at, what="the result", wanted="a tensor", found=describe(value))
            )
            return None
        if not _same(want, value.type):
            _wrong_result(want, value.type, at, declared.span, ctx)
        returned.append((declared.name or name or plain, value))
    return returned


def _same(want: TensorType, found: TensorType) -> bool:
    return want.dtype is found.dtype and want.shape == found.shape


def _wrong_result(
    want: TensorType, found: TensorType, at: Span, promised: Span, ctx: Context
) -> None:
    sizes: tuple[Dim, ...] = ()
    if len(want.shape) == len(found.shape):
        for left, right in zip(want.shape, found.shape, strict=True):
            if left != right and not isinstance(left, Rest) and not isinstance(right, Rest):
                sizes = (left, right)
    ctx.sink.add(
        WrongResult(at=at, declared=str(want), found=str(found), sizes=sizes, promised=promised)
    )


def _exposed(results: Results, ctx: Context) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    for name, value in results.exposed.items():
        items = value if isinstance(value, tuple) else (value,)
        for place, item in enumerate(items):
            if isinstance(item, Tensor):
                found.append((f"{name}.{place}" if isinstance(value, tuple) else name, item))
    return found
