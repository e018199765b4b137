"""Blocks: binding parameters, making parts, elaborating methods; free functions in place.

One definition is made per distinct binding, whatever the number of instances.
"""

import math
from dataclasses import dataclass, field, replace
from functools import partial

from lmmdsl.diag.codes.names import DuplicateName
from lmmdsl.diag.codes.types import (
    BadValue,
    TooDeep,
    WrongKind,
)
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Graph, Instance, NamingRule, Param, Part, Stack
from lmmdsl.sema import expr, signature
from lmmdsl.sema.binding import bind_parameters, remember
from lmmdsl.sema.context import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_INSTANCES,
    Context,
    Source,
    State,
    Thunk,
)
from lmmdsl.sema.functions import Functions
from lmmdsl.sema.methods import check_require, elaborate_method
from lmmdsl.sema.naming import checked_rules, declared_names, naming_rules
from lmmdsl.sema.plan import EMPTY, Plan
from lmmdsl.sema.values import (
    POISON,
    BlockRef,
    FunctionRef,
    Made,
    Poison,
    Scope,
    describe,
    key,
)
from lmmdsl.sema.weave import weave
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


class Blocks(Functions):
    """The engine behind calls of blocks and free functions."""

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

    def elaborate(
        self, block: ast.Block, ctx: Context, at: Span, plan: Plan = EMPTY
    ) -> Definition | None:
        """Make parts, wrap those where injections stand, check requirements, elaborate methods."""
        binding = dict(ctx.scope.names)
        body = Body()
        scope = Scope(outer=ctx.scope)
        inner = Context(ctx.state, scope, plan=plan)
        self.items(block.items, inner, body, at)
        for method in body.methods:
            if method.name in scope.declared:
                first = scope.declared[method.name]
                ctx.sink.add(DuplicateName(at=method.name_span, name=method.name, first=first))
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
        definition = replace(definition, naming=naming)
        ctx.state.sources[definition] = Source(block, ctx.scope, at)
        return definition

    def items(self, items: tuple[object, ...], ctx: Context, body: Body, at: Span) -> None:
        """Items in any order: each named one is worked out when it is first needed."""
        thunks = []
        for item in items:
            if isinstance(item, ast.Let | ast.PartDecl | ast.LearnedDecl | ast.InputDecl):
                thunks.append(self._declare(item, ctx, body))
        for thunk in thunks:
            if thunk is not None:
                thunk.force(thunk.span)
        for item in items:
            self._item(item, ctx, body, at)

    def _item(self, item: object, ctx: Context, body: Body, at: Span) -> None:
        match item:
            case ast.Require():
                # What a block asks for in vain would fail again, less clearly, inside it.
                place = None if ctx.encoder else at  # a model requires something of its own values
                body.broken |= not check_require(item, ctx, place)
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
        self,
        item: ast.Let | ast.PartDecl | ast.LearnedDecl | ast.InputDecl,
        ctx: Context,
        body: Body,
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
        self,
        item: ast.Let | ast.PartDecl | ast.LearnedDecl | ast.InputDecl,
        ctx: Context,
        body: Body,
    ) -> object:
        """Work out one named item."""
        assert not isinstance(item, ast.InputDecl)  # a block has none
        if isinstance(item, ast.LearnedDecl):
            shape = signature.axes(item.axes, ctx, None)
            if shape is None or any(not isinstance(size, Dim) for size in shape):
                body.broken = True
                return POISON
            sizes = tuple(size for size in shape if isinstance(size, Dim))
            if math.prod(size.value for size in sizes if size.is_const) > MAX_ELEMENTS:
                what, problem = f"`{item.name}` {_show(sizes)}", "holds more than 2**40 numbers"
                ctx.sink.add(BadValue(at=item.span, what=what, problem=problem))
                body.broken = True
                return POISON
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
        woven = weave(part, ctx.plan.under(item.name), partial(self.again, ctx.state))
        if woven is None:
            body.broken = True
            return POISON
        body.parts[item.name] = woven
        return expr.part_value(woven)

    def again(self, state: State, definition: Definition, plan: Plan) -> Definition | None:
        """The definition with injections below it; the same object for the same ones."""
        identity = (id(definition), plan)
        if identity not in state.made:
            source = state.sources[definition]
            ctx = Context(state, source.scope)
            state.made[identity] = self.elaborate(source.block, ctx, source.at, plan)
        made = state.made[identity]
        return made if isinstance(made, Definition) else None


def _show(sizes: tuple[Dim, ...]) -> str:
    return f"[{', '.join(map(str, sizes))}]"


def make_part(item: ast.PartDecl, value: object, ctx: Context) -> Part | None:
    """A part from what its declaration is worth.

    Reports:
        E0303 when that is no block or stack of blocks, E0307 for a tree that only nested stacks can make.
    """
    made = value if isinstance(value, tuple) else (value,)
    layers = tuple(layer.definition for layer in made if isinstance(layer, Made))
    if layers and len(layers) == len(made):
        if sum(ctx.state.instances(layer) for layer in layers) > MAX_INSTANCES:
            what, problem = f"the part `{item.name}`", f"holds more than {MAX_INSTANCES} parts"
            ctx.sink.add(BadValue(at=item.value.span, what=what, problem=problem))
            return None
        if isinstance(value, tuple):
            return Stack(item.name, layers, item.span)
        return Instance(item.name, layers[0], item.span)
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
