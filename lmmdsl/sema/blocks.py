"""Blocks: binding parameters, making parts, elaborating methods; free functions in place.

One definition is made per distinct binding, whatever the number of instances.
"""

from dataclasses import dataclass, field, replace

from lmmdsl.diag.codes.names import DuplicateName
from lmmdsl.diag.codes.shapes import WrongArgument
from lmmdsl.diag.codes.types import (
    MissingArgument,
    TooDeep,
    TooManyArguments,
    UnknownArgument,
    WrongKind,
)
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.graph.ir import Definition, Graph, Instance, NamingRule, Param, Part, Stack
from lmmdsl.sema import calls, expr
from lmmdsl.sema.context import MAX_DEPTH, Context, Thunk
from lmmdsl.sema.methods import Results, check_require, elaborate_method, run
from lmmdsl.sema.naming import checked_rules, declared_names, naming_rules
from lmmdsl.sema.unify import match_arguments
from lmmdsl.sema.values import (
    POISON,
    BlockRef,
    FunctionRef,
    Made,
    Poison,
    Scope,
    Tensor,
    describe,
    key,
)
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span


@dataclass
class Body:
    """What the items of a block have given so far."""

    parts: dict[str, Part] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    methods: list[ast.Method] = field(default_factory=list)
    naming: dict[str, list[NamingRule]] = field(default_factory=dict)
    broken: bool = False


class Blocks:
    """The engine behind calls of blocks and free functions."""

    def __init__(self) -> None:
        self.stack: list[object] = []

    def instantiate(
        self,
        block: BlockRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: Context,
    ) -> object:
        """A definition of the block with these arguments; the same object for the same binding.

        Reports:
            E0306 for a block that holds itself and beyond the nesting limit, E0301, E0302 and E0309 for
            arguments that do not fit, and whatever the block reports.
        """
        scope = self.bind(block, positional, named, at, ctx)
        if scope is None:
            return POISON
        identity = (
            block.block.name,
            id(block.block),
            tuple((name, key(value)) for name, value in scope.names.items()),
        )
        if identity in ctx.state.made:
            made = ctx.state.made[identity]
            return Made(made, at.span) if isinstance(made, Definition) else POISON
        if self._runaway(block, identity, at.span, ctx):
            return POISON
        self.stack.append(identity)
        with ctx.sink.tracing(at.span, f"while instantiating `{block}` here"):
            definition = self.elaborate(block.block, ctx.inside(scope), at.span)
        self.stack.pop()
        ctx.state.made[identity] = definition
        return Made(definition, at.span) if definition else POISON

    def _runaway(self, block: BlockRef, identity: object, at: Span, ctx: Context) -> bool:
        if identity in self.stack:
            start = self.stack.index(identity)
            ctx.sink.add(
                TooDeep(at=at, limit=MAX_DEPTH, chain=self._chain(start, block.block.name))
            )
            return True
        if len(self.stack) >= MAX_DEPTH:
            ctx.sink.add(TooDeep(at=at, limit=MAX_DEPTH, chain=self._chain(0, block.block.name)))
            return True
        return False

    def _chain(self, start: int, last: str) -> tuple[str, ...]:
        """Names of the blocks and functions that are open from `start` on, then the one at hand."""
        names = (item[0] if isinstance(item, tuple) else str(item) for item in self.stack[start:])
        return (*names, last)

    def bind(
        self,
        block: BlockRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: Context,
    ) -> Scope | None:
        """Parameter values by name, defaults included."""
        scope = Scope(outer=block.module)
        inner = ctx.inside(scope)
        parameters = block.block.parameters
        given = bind_parameters(
            str(block), parameters, positional, named, at, block.block.name_span, ctx
        )
        if given is None:
            return None
        for parameter in parameters:
            value = given.get(parameter.name)
            if parameter.name not in given and parameter.default is not None:
                with ctx.sink.tracing(at.span, f"while instantiating `{block}` here"):
                    value = expr.evaluate(parameter.default, inner)
            if isinstance(value, Poison):
                return None
            scope.names[parameter.name] = remember(parameter.name, value)
            scope.declared[parameter.name] = parameter.span
        return scope

    # ---- the body ----

    def elaborate(self, block: ast.Block, ctx: Context, at: Span) -> Definition | None:
        """Make parts, check requirements, elaborate methods."""
        binding = dict(ctx.scope.names)
        body = Body()
        scope = Scope(outer=ctx.scope)
        inner = Context(ctx.state, scope)
        self.items(block.items, inner, body, at)
        for method in body.methods:
            scope.names.setdefault(method.name, FunctionRef(method, scope))
        methods: dict[str, Graph] = {}
        for method in body.methods:
            if method.name in methods:
                ctx.sink.add(
                    DuplicateName(
                        at=method.name_span, name=method.name, first=methods[method.name].span
                    )
                )
                continue
            graph = elaborate_method(method, inner) if not body.broken else None
            if graph is None:
                body.broken = True
                continue
            methods[method.name] = graph
        if body.broken:
            return None
        definition = Definition(
            block=block.name,
            binding=binding,
            doc=block.doc,
            span=block.span,
            parts=body.parts,
            methods=methods,
            values=body.values,
            declared=declared_names(block.items),
        )
        naming = {
            scheme: checked_rules(scheme, rules, definition, inner)
            for scheme, rules in body.naming.items()
        }
        return replace(definition, naming=naming)

    def items(self, items: tuple[object, ...], ctx: Context, body: Body, at: Span) -> None:
        """Items in any order: each named one is worked out when it is first needed."""
        thunks = []
        for item in items:
            if isinstance(item, ast.Let | ast.PartDecl | ast.LearnedDecl):
                thunks.append(self._declare(item, ctx, body))
        for thunk in thunks:
            if thunk is not None:
                thunk.force(thunk.span)
        for item in items:
            match item:
                case ast.Require():
                    check_require(item, ctx, at)
                case ast.If():
                    chosen = expr.truth(item.condition, ctx)
                    if chosen is not None:
                        self.items(item.yes if chosen else item.no, ctx, body, at)
                case ast.For():
                    self._for_items(item, ctx, body, at)
                case ast.Method():
                    body.methods.append(item)
                case ast.Naming():
                    body.naming.setdefault(item.scheme, []).extend(naming_rules(item, ctx))

    def _for_items(self, item: ast.For, ctx: Context, body: Body, at: Span) -> None:
        values = expr.evaluate(item.items, ctx)
        for value in values if isinstance(values, tuple) else ():
            ctx.scope.names[item.name] = value
            self.items(item.body, ctx, body, at)

    def _declare(
        self, item: ast.Let | ast.PartDecl | ast.LearnedDecl, ctx: Context, body: Body
    ) -> Thunk | None:
        span = item.name_span if isinstance(item, ast.PartDecl) else item.span
        if item.name in ctx.scope.names:
            first = ctx.scope.declared.get(item.name, span)
            ctx.sink.add(DuplicateName(at=span, name=item.name, first=first))
            return None
        thunk = Thunk(item.name, span, lambda: self.define(item, ctx, body), ctx.state)
        ctx.scope.names[item.name] = thunk
        ctx.scope.declared[item.name] = span
        return thunk

    def define(
        self, item: ast.Let | ast.PartDecl | ast.LearnedDecl, ctx: Context, body: Body
    ) -> object:
        """Work out one named item."""
        if isinstance(item, ast.LearnedDecl):
            shape = expr.axes(item.axes, ctx, None)
            if shape is None or any(not isinstance(size, Dim) for size in shape):
                body.broken = True
                return POISON
            sizes = tuple(size for size in shape if isinstance(size, Dim))
            init = item.init or "normal"
            body.parts[item.name] = Param(item.name, sizes, item.span, init, item.trained)
            return expr.part_value(body.parts[item.name])
        value = expr.evaluate(item.value, ctx)
        if isinstance(value, Poison):
            body.broken = True
            return POISON
        if isinstance(item, ast.Let):
            value = remember(item.name, value)
            body.values[item.name] = value
            return value
        part = make_part(item, value, ctx)
        if part is None:
            body.broken = True
            return POISON
        body.parts[item.name] = part
        return expr.part_value(part)

    # ---- free functions ----

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
            E0405 for arguments that do not fit, E0306 beyond the nesting limit.
        """
        if ctx.graph is None:
            ctx.sink.add(
                WrongKind(
                    at=at.span,
                    what=f"`{function}`",
                    wanted="a place inside a method",
                    found="a declaration",
                )
            )
            return POISON
        if len(self.stack) >= MAX_DEPTH:
            ctx.sink.add(
                TooDeep(at=at.span, limit=MAX_DEPTH, chain=self._chain(0, function.function.name))
            )
            return POISON
        scope = self._function_scope(function, positional, named, at, ctx)
        if scope is None:
            return POISON
        inner = Context(ctx.state, scope, ctx.graph, ctx.encoder)
        results = Results()
        self.stack.append(function.function.name)
        with ctx.sink.tracing(at.span, f"in this call of `{function}`"):
            run(function.function.body, inner, results)
        self.stack.pop()
        values = tuple(value for _, value, _ in results.returned or ())
        if not values:
            return POISON
        return values[0] if len(values) == 1 else values

    def _function_scope(
        self,
        function: FunctionRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: Context,
    ) -> Scope | None:
        source = function.function
        everything = sorted((*source.inputs, *source.parameters), key=lambda item: item.span.start)
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
        return scope if self._function_inputs(source, given, scope, inner, at) else None

    def _function_inputs(
        self, source: ast.Method, given: dict[str, object], scope: Scope, ctx: Context, at: ast.Expr
    ) -> bool:
        fresh: set[str] = set()
        declared, found = [], []
        for item in source.inputs:
            value = calls.as_value(given.get(item.name), ctx, at.span)
            kind = expr.tensor_type(item.type, ctx, fresh)
            if isinstance(value, Poison) or kind is None:
                return False
            if not isinstance(value, Tensor | None):
                ctx.sink.add(
                    WrongKind(
                        at=at.span, what=f"`{item.name}`", wanted="a tensor", found=describe(value)
                    )
                )
                return False
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
            return False
        for name in fresh:
            scope.names[name] = matched.sizes.get(name, Dim.symbol(name))
        scope.names |= {item.name: given[item.name] for item in source.inputs}
        return True


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
        E0301 unknown names, E0302 missing ones (all at once), E0309 too many.
    """
    names = tuple(parameter.name for parameter in parameters)
    if len(positional) > len(names):
        ctx.sink.add(
            TooManyArguments(at=at.span, callee=callee, most=len(names), declared=declared)
        )
        return None
    given = dict(zip(names, positional, strict=False))
    fine = True
    for name, value in named.items():
        if name not in names or name in given:
            place = argument_span(at, name)
            ctx.sink.add(
                UnknownArgument(
                    at=place, callee=callee, name=name, candidates=names, declared=declared
                )
            )
            fine = False
        given[name] = value
    missing = tuple(p.name for p in parameters if p.default is None and p.name not in given)
    if missing:
        ctx.sink.add(MissingArgument(at=at.span, callee=callee, names=missing, declared=declared))
    return given if fine and not missing else None


def argument_span(at: ast.Expr, name: str) -> Span:
    """Span of a named argument of a call."""
    if isinstance(at, ast.CallExpr):
        for item in at.arguments:
            if item.name == name:
                return Span(item.span.file, item.span.start, item.span.start + len(name))
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


def make_part(item: ast.PartDecl, value: object, ctx: Context) -> Part | None:
    """A part from what its declaration is worth.

    Reports:
        E0303 when that is no block or stack of blocks.
    """
    if isinstance(value, Made):
        return Instance(item.name, value.definition, item.span)
    if isinstance(value, tuple) and value and all(isinstance(layer, Made) for layer in value):
        layers = tuple(layer.definition for layer in value if isinstance(layer, Made))
        return Stack(item.name, layers, item.span)
    if not (isinstance(value, tuple) and any(isinstance(layer, Poison) for layer in value)):
        wanted = "a block, or a stack such as `depth * Layer(...)`"
        ctx.sink.add(
            WrongKind(
                at=item.value.span,
                what=f"the part `{item.name}`",
                wanted=wanted,
                found=describe(value),
            )
        )
    return None
