"""The making of one wrapper: a graph that runs the part, and what an injection adds to it.

Takes a part's definition and the injection's text; gives a definition with the same signature, and arguments from
outside where the text names values of the model or kinds of tokens.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import (
    Call,
    Definition,
    Graph,
    Input,
    Instance,
    Node,
    Part,
    Read,
    Repeat,
    Value,
)
from lmmdsl.graph.names import camel
from lmmdsl.sema import calls, expr, signature
from lmmdsl.sema.blocks import Body
from lmmdsl.sema.builder import GraphBuilder
from lmmdsl.sema.context import Context, Thunk
from lmmdsl.sema.methods import Results, run
from lmmdsl.sema.naming import checked_rules, declared_names
from lmmdsl.sema.values import POISON, Called, PartRef, Poison, Scope, Tensor
from lmmdsl.syntax import ast
from lmmdsl.types.tensor import DType, TensorType

BASE = "base"  # the part that is wrapped, as bodies and parameters call it
STATEMENTS = (ast.Assign, ast.Return, ast.Expose, ast.If, ast.For, ast.Require)


class Asking(Protocol):
    """What the making of a wrapper needs of the injection."""

    item: ast.Inject
    ctx: Context
    values: dict[str, TensorType]

    def block(self, base: Definition) -> Definition | None:
        """The block that the injection names."""

    def on(self) -> str:
        """Name of the fact that tells which tokens the injection serves."""

    def last(self) -> str:
        """Name of the fact that tells the last image at or before each token."""

    def problem(self, text: str) -> None:
        """Report that the injection does not fit its place (E0602)."""


@dataclass
class Wrapping:
    """The making of one wrapper around one part."""

    injection: Asking
    base: Definition
    graph: GraphBuilder = field(default_factory=GraphBuilder)
    added: str = ""  # name of the part that an injection without a body adds

    def bodied(self) -> Definition | None:
        """`before` and `after` (and a body in place of the part): statements on `x` and a call of the part."""
        item, ctx = self.injection.item, self.injection.ctx
        scope = Scope({BASE: expr.part_value(self._base())}, ctx.scope)
        body = Body()
        if not self._declare(item, Context(ctx.state, scope), body):
            return None
        inner = Context(ctx.state, Scope(outer=scope), self.graph)
        given = self._inputs(inner.scope)
        if not self._takes(inner):
            return None
        self._outside_values(inner)
        called: object = None
        x: object = given[0]
        if item.verb == "after":
            x = called = self._call(given, inner)
        x = changed = self._run(x, inner)
        if item.on is not None:
            x = self._choose(changed, given[0] if called is None else called, inner)
        if item.verb == "before":
            x = called = self._call([x, *given[1:]], inner)
        return self._finish(x, called, body, inner)

    def chosen(self, parts: dict[str, Definition], yes: str, no: str) -> Definition | None:
        """One part for the tokens that the injection serves, another for the rest."""
        ctx = self.injection.ctx
        held = {
            name: Instance(name, definition, self.injection.item.span)
            for name, definition in parts.items()
        }
        inner = Context(ctx.state, Scope(), self.graph)
        given = self._inputs(inner.scope)
        if no not in parts:  # the part inside the one that wraps it
            no = f"{yes}.{no}"
        changed, kept = (self._call(given, inner, self._ref(held, path)) for path in (yes, no))
        result = self._choose(changed, kept, inner)
        return self._finish(result, None, Body(parts=dict(held)), inner, wraps=no.split(".")[0])

    def _ref(self, held: dict[str, Instance], path: str) -> PartRef:
        head, _, rest = path.partition(".")
        definition = held[head].definition
        if rest:
            inner = definition.parts[rest]
            assert isinstance(inner, Instance)
            definition = inner.definition
        return PartRef(path, (definition,), False, self.injection.item.span)

    def _base(self) -> Instance:
        return Instance(BASE, self.base, self.injection.item.span)

    def _declare(self, item: ast.Inject, ctx: Context, body: Body) -> bool:
        """Parts of the body, or the one part of an injection without a body."""
        declared = tuple(i for i in item.body if not isinstance(i, STATEMENTS))
        if item.part is not None:
            made = self.injection.block(self.base)
            if made is None:
                return False
            self.added = snake(made.block)
            body.parts[self.added] = Instance(self.added, made, item.part.span)
            ctx.scope.names[self.added] = expr.part_value(body.parts[self.added])
        else:
            ctx.state.engine.items(declared, ctx, body, item.span)
        first, last = ((), (self._base(),)) if item.verb == "before" else ((self._base(),), ())
        if item.verb != "replace":
            body.parts = {part.name: part for part in (*first, *body.parts.values(), *last)}
        return not body.broken

    def _inputs(self, scope: Scope) -> list[Tensor]:
        at = self.injection.item.span
        found = []
        for name, kind in own_inputs(self.base.methods["forward"]).items():
            found.append(self.graph.input(name, kind, at))
            scope.names[name] = found[-1]
        return found

    def _takes(self, ctx: Context) -> bool:
        """Arguments that the injection declares; symbols of the part's own signature are the same in them."""
        for declared in self.injection.item.takes:
            assert isinstance(declared, ast.InputDecl)
            if declared.name in ctx.scope.names:
                part = f"`{self.base.block}` has an argument `{declared.name}` of its own"
                self.injection.problem(part)
                return False
            kind = signature.tensor_type(declared.type, ctx, set())
            if kind is None:
                return False
            ctx.scope.names[declared.name] = self.graph.outside(declared.name, kind, declared.span)
        return True

    def _outside_values(self, ctx: Context) -> None:
        """Values of the model that the body names, and `sees` where it says who sees what."""
        item = self.injection.item
        images: Dim | None = None
        for name in dict.fromkeys(names_in(item.body)):
            value = self.injection.ctx.scope.find(name)
            value = value.force(item.span) if isinstance(value, Thunk) else value
            value = value.result if isinstance(value, Called) else value
            if not isinstance(value, Tensor) or name in ctx.scope.names:
                continue
            ctx.scope.names[name] = self.graph.outside(name, value.type, item.span)
            self.injection.values[name] = value.type
            first = value.type.shape[0]
            images = first if images is None and isinstance(first, Dim) else images
        if item.where is not None:
            self._sees(images, ctx)

    def _sees(self, images: Dim | None, ctx: Context) -> None:
        item = self.injection.item
        if images is None:
            self.injection.problem("`where` needs a value with images in the body")
            return
        first = next(iter(own_inputs(self.base.methods["forward"]).values()))
        kind = TensorType(DType.INT, first.shape[:-1])
        last = self.graph.outside(self.injection.last(), kind, item.span)
        column = calls.apply("unsqueeze", [last], {}, item.span, ctx)
        places = calls.apply("arange", [images], {}, item.span, ctx)
        ctx.scope.names["sees"] = calls.apply("equal", [column, places], {}, item.span, ctx)

    def _run(self, x: object, ctx: Context) -> object:
        item = self.injection.item
        if item.part is not None:
            added = ctx.scope.find(self.added)
            return self._value(calls.call(added, [x], {}, item.part, ctx))
        before = x.result if isinstance(x, Called) else x
        ctx.scope.names["x"] = before
        run([s for s in item.body if isinstance(s, STATEMENTS)], ctx, Results())
        return self._value(ctx.scope.names["x"])

    def _value(self, value: object) -> object:
        return value.result if isinstance(value, Called) else value

    def _call(
        self, given: list[Tensor] | list[object], ctx: Context, part: PartRef | None = None
    ) -> object:
        if any(isinstance(value, Poison) for value in given):
            return POISON
        item = self.injection.item
        ref = part or expr.part_value(self._base())
        here = ast.Name(span=item.span, name=BASE)
        return calls.call(ref, list(given), {}, here, ctx)

    def _choose(self, changed: object, kept: object, ctx: Context) -> object:
        """What the injection gives on the tokens that it serves, what the part gives elsewhere."""
        changed, kept = self._value(changed), self._value(kept)
        if not isinstance(changed, Tensor) or not isinstance(kept, Tensor):
            return POISON
        at = self.injection.item.span
        first = next(iter(own_inputs(self.base.methods["forward"]).values()))
        kind = TensorType(DType.BOOL, first.shape[:-1])
        served = self.graph.outside(self.injection.on(), kind, at)
        column = calls.apply("unsqueeze", [served], {}, at, ctx)
        return calls.apply("where", [column, changed, kept], {}, at, ctx)

    def _finish(
        self, result: object, called: object, body: Body, ctx: Context, wraps: str = BASE
    ) -> Definition | None:
        result = self._value(result)
        if not isinstance(result, Tensor):
            return None
        wanted = result_of(self.base.methods["forward"])
        if result.type.dtype is not wanted.dtype or result.type.shape != wanted.shape:
            self.injection.problem(
                f"the injection leaves {result.type} where `{self.base.block}` gives {wanted}"
            )
            return None
        item = self.injection.item
        exposed = called.exposed if isinstance(called, Called) else {}
        outputs = (("result", result.value), *_flat(exposed))
        forward = self.graph.finish(outputs, item.span)
        if not self._own_parts(forward, body.parts):
            return None
        definition = Definition(
            block=self._block_name(body),
            binding={},
            doc=f"{self.base.block} with what `inject {item.verb}` adds.",
            span=item.span,
            parts=body.parts,
            methods={"forward": forward},
            values=body.values,
            declared=declared_names(item.body) | self.base.declared,
            wraps=wraps if wraps in body.parts else "",
        )
        naming = {
            scheme: checked_rules(scheme, rules, definition, ctx)
            for scheme, rules in body.naming.items()
        }
        return replace(definition, naming=naming)

    def _own_parts(self, graph: Graph, parts: dict[str, Part]) -> bool:
        """A body runs only parts of its own; what other parts of the model give reaches it as a value."""
        for node in graph.nodes:
            head = _head(node)
            if head is not None and head not in parts:
                self.injection.problem(
                    f"`{head}` is a part of the model: give what it makes a name there "
                    "(`seen = ...`) and use that value"
                )
                return False
        return True

    def _block_name(self, body: Body) -> str:
        added = [name for name in body.parts if name not in (BASE, "changed")]
        pieces = "And".join(camel(name) for name in added) or self.injection.item.verb.title()
        return f"{self.base.block}With{pieces}"


def own_inputs(graph: Graph) -> dict[str, TensorType]:
    """Arguments that a method declares, by name."""

    def declared(value: Value) -> bool:
        payload = graph.nodes[value.node].payload
        return not (isinstance(payload, Input) and payload.outside)

    return {graph.name_of(v): graph.type_of(v) for v in graph.inputs if declared(v)}


def result_of(graph: Graph) -> TensorType:
    """Type of what a method gives."""
    return graph.type_of(graph.outputs[0][1])


def _flat(exposed: object) -> Iterator[tuple[str, Value]]:
    """Exposed values with the names of a graph's outputs."""
    for name, value in exposed.items() if isinstance(exposed, dict) else ():
        items = value if isinstance(value, tuple) else (value,)
        for place, item in enumerate(items):
            if isinstance(item, Tensor):
                yield (f"{name}.{place}" if isinstance(value, tuple) else name), item.value


def _head(node: Node) -> str | None:
    match node.payload:
        case Call(part=path) | Repeat(part=path) | Read(path=path):
            return path.split(".")[0]
    return None


def names_in(items: object) -> Iterator[str]:
    """Every name that a piece of syntax mentions, in order."""
    match items:
        case ast.Name(name=name):
            yield name
        case tuple():
            for item in items:
                yield from names_in(item)
        case ast.Syntax():
            for place in fields(items):
                yield from names_in(getattr(items, place.name))


def snake(name: str) -> str:
    """`GatedMlp` to `gated_mlp`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
