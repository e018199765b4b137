"""Free functions: their bodies run in place, in the caller's graph."""

from lmmdsl.diag.codes.shapes import WrongArgument
from lmmdsl.diag.codes.types import TooDeep, WrongKind
from lmmdsl.dims.expr import Dim
from lmmdsl.sema import calls, expr, signature
from lmmdsl.sema.binding import bind_parameters
from lmmdsl.sema.context import MAX_DEPTH, Context
from lmmdsl.sema.methods import Results, check_results, run
from lmmdsl.sema.unify import Matched, match_arguments
from lmmdsl.sema.values import POISON, FunctionRef, Poison, Scope, Tensor, describe
from lmmdsl.syntax import ast


class Functions:
    """Runs free functions, and methods of the block at hand.

    Attributes:
        stack: what is being instantiated or run, outermost first.
    """

    def __init__(self) -> None:
        self.stack: list[object] = []

    def function(
        self,
        function: FunctionRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: Context,
    ) -> object:
        """Run a free function (or a method of the same block) in place: its nodes join the caller's graph.

        Reports:
            E0405 for arguments that do not fit, E0402 for a result other than promised, E0306 beyond the nesting
            limit.
        """
        if ctx.graph is None:
            ctx.sink.add(
                WrongKind(
                    at=at.span,
                    what=f"a call of `{function}`",
                    wanted="in a method",
                    found="in a declaration",
                )
            )
            return POISON
        if len(self.stack) >= MAX_DEPTH:
            ctx.sink.add(
                TooDeep(at=at.span, limit=MAX_DEPTH, chain=self._chain(0, function.function.name))
            )
            return POISON
        found = self._function_scope(function, positional, named, at, ctx)
        if found is None:
            return POISON
        scope, matched = found
        inner = Context(ctx.state, scope, ctx.graph, ctx.encoder)
        results = Results()
        self.stack.append(function.function.name)
        with ctx.sink.tracing(at.span, f"in this call of `{function}`"):
            run(function.function.body, inner, results)
            kept = check_results(function.function, results, inner, matched)
        self.stack.pop()
        if kept is None:
            return POISON
        values = tuple(tensor for _, tensor in kept)
        return values[0] if len(values) == 1 else values

    def _function_scope(
        self,
        function: FunctionRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: Context,
    ) -> tuple[Scope, Matched] | None:
        source = function.function
        everything: list[ast.InputDecl | ast.Parameter] = [*source.inputs, *source.parameters]
        everything.sort(key=lambda item: item.span.start)
        slots = tuple(
            item
            if isinstance(item, ast.Parameter)
            else ast.Parameter(
                span=item.span,
                name=item.name,
                default=ast.Literal(span=item.span, value=None) if item.type.optional else None,
            )
            for item in everything
        )
        given = bind_parameters(source.name, slots, positional, named, at, source.name_span, ctx)
        if given is None:
            return None
        scope = Scope(outer=function.module)
        inner = Context(ctx.state, scope, ctx.graph, ctx.encoder)
        for parameter in source.parameters:
            value = given.get(parameter.name)
            if parameter.name not in given and parameter.default is not None:
                value = expr.evaluate(parameter.default, inner)
            scope.names[parameter.name] = value
        matched = self._function_inputs(source, given, scope, inner, at)
        return (scope, matched) if matched else None

    def _function_inputs(
        self, source: ast.Method, given: dict[str, object], scope: Scope, ctx: Context, at: ast.Expr
    ) -> Matched | None:
        fresh: set[str] = set()
        declared, found = [], []
        for item in source.inputs:
            value = calls.as_value(given.get(item.name), ctx, at.span)
            kind = signature.tensor_type(item.type, ctx, fresh)
            if isinstance(value, Poison) or kind is None:
                return None
            if not isinstance(value, Tensor | None):
                ctx.sink.add(
                    WrongKind(
                        at=at.span, what=f"`{item.name}`", wanted="a tensor", found=describe(value)
                    )
                )
                return None
            declared.append(kind)
            found.append(value.type if value else None)
            given[item.name] = value
        matched = match_arguments(declared, found)
        if matched.wrong is not None:
            item = source.inputs[matched.wrong]
            ctx.sink.add(
                WrongArgument(
                    at=at.span, callee=source.name, argument=item.name, declared=str(declared[matched.wrong]),
                    found=str(found[matched.wrong]), sizes=matched.clash, bound=matched.bound(), promised=item.span,
                )
            )  # fmt: skip
            return None
        for name in fresh:
            scope.names[name] = matched.sizes.get(name, Dim.symbol(name))
        scope.names |= {item.name: given[item.name] for item in source.inputs}
        return matched

    def _chain(self, start: int, last: str) -> tuple[str, ...]:
        """Names of the blocks and functions that are open from `start` on, then the one at hand."""
        names = (item[0] if isinstance(item, tuple) else str(item) for item in self.stack[start:])
        return (*names, last)
