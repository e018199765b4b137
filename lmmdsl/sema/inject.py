"""Injections: the blocks that take the place of the parts that a selector matches.

`before` and `after` run statements on the value that enters or leaves a part; `around` and `replace` put a block in its
place, which gets the part as its parameter `base`; `beside` adds a copy for the tokens of one kind. Whatever the verb,
the result is a block that wraps the part. Values of the model and facts about tokens that it needs come from outside:
they become arguments on the whole way down.
Axes: B batch, T tokens of this step, I images, *b the leading axes of a part.
"""

import re
from dataclasses import dataclass, field, replace

from lmmdsl.diag.codes.inject import InjectionShape, SelectorMatchesNothing
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import (
    Definition,
    Input,
    Instance,
)
from lmmdsl.graph.program import Woven
from lmmdsl.sema import expr
from lmmdsl.sema.arrange import TokenFact
from lmmdsl.sema.context import Context
from lmmdsl.sema.plan import Plan
from lmmdsl.sema.sections import head, is_broken
from lmmdsl.sema.select import near_misses, select, shown
from lmmdsl.sema.unify import match_arguments
from lmmdsl.sema.values import (
    BlockRef,
    Made,
    Poison,
    describe,
)
from lmmdsl.sema.wrap import BASE, Wrapping, own_inputs, result_of
from lmmdsl.syntax import ast
from lmmdsl.types.tensor import TensorType


def make_plan(injections: "list[Injection]", root: Definition) -> Plan:
    """Where each injection stands.

    Reports:
        E0601 for a selector that matches nothing.
    """
    points = []
    for injection in injections:
        points += [(tuple(path.split(".")), injection) for path in injection.find(root)]
    return Plan(tuple(points))


@dataclass(eq=False)
class Injection:
    """One `inject` of a model. `ctx` is the model without injections, whose names its text may use."""

    item: ast.Inject
    ctx: Context
    paths: tuple[str, ...] = ()
    facts: dict[str, TokenFact] = field(default_factory=dict)
    values: dict[str, TensorType] = field(default_factory=dict)
    made: dict[Definition, Definition | None] = field(default_factory=dict)

    def find(self, root: Definition) -> tuple[str, ...]:
        """Paths of the parts that the selector matches."""
        selector, errors = self.item.selector, self.ctx.sink.errors
        self.paths = select(selector, root, self.ctx)
        known = is_broken(head(selector), root, self.ctx)
        if not self.paths and errors == self.ctx.sink.errors and not known:
            near = near_misses(selector, root, self.ctx)
            self.ctx.sink.add(
                SelectorMatchesNothing(
                    at=selector.span, selector=selector.span.text, candidates=near
                )
            )
        return self.paths

    def wrap(self, base: Definition) -> Definition | None:
        """What takes the place of `base`; the same object for the same part."""
        if base not in self.made:
            self.made[base] = self._wrap(base)
        return self.made[base]

    def woven(self) -> Woven:
        """What reports say of it."""
        item = self.item
        added = (
            part.name for part in item.body if isinstance(part, ast.PartDecl | ast.LearnedDecl)
        )
        name = item.part.function if isinstance(item.part, ast.CallExpr) else item.part
        return Woven(
            verb=item.verb,
            what=name.span.text if name is not None else ", ".join(added) or "statements",
            selector=shown(item.selector, self.ctx),
            paths=self.paths,
            token=item.on or "",
            values=tuple(self.values),
            seen=item.where.seen if item.where else "",
            handed=tuple(given.name for given in item.takes if isinstance(given, ast.InputDecl)),
        )

    def problem(self, text: str) -> None:
        """Report that the injection does not fit its place (E0602)."""
        self.ctx.sink.add(InjectionShape(at=self.item.span, problem=text))

    def _wrap(self, base: Definition) -> Definition | None:
        if "forward" not in base.methods:
            self.problem(f"`{base.block}` has no `forward` to stand at")
            return None
        match self.item.verb:
            case "beside":
                return self._beside(base)
            case "around" | "replace" if self.item.part is not None:
                return self._in_place(base)
            case _:
                return Wrapping(self, base).bodied()

    # ---- blocks ----

    def block(self, base: Definition) -> Definition | None:
        """The block that the injection names, with the part as its parameter `base` if it has one."""
        part = self.item.part
        assert part is not None
        function, given = self._called(part)
        if not isinstance(function, BlockRef):
            if not isinstance(function, Poison):
                self.problem(f"a block is needed here, not {describe(function)}")
            return None
        positional, named = expr.arguments(given, self.ctx)
        takes = {parameter.name for parameter in function.block.parameters}
        if BASE in takes or self.item.verb == "around":
            named[BASE] = Made(base, part.span)
        made = self.ctx.state.engine.instantiate(function, positional, named, part, self.ctx)
        return made.definition if isinstance(made, Made) else None

    def _called(self, part: ast.Expr) -> tuple[object, tuple[ast.Argument, ...]]:
        if isinstance(part, ast.CallExpr):
            return expr.evaluate(part.function, self.ctx), part.arguments
        return expr.evaluate(part, self.ctx), ()

    def _in_place(self, base: Definition) -> Definition | None:
        made = self.block(base)
        if made is None or not self._fits(made, base):
            return None
        inner = (
            name
            for name, part in made.parts.items()
            if isinstance(part, Instance) and part.definition is base
        )
        made = replace(made, wraps=next(inner, ""), declared=made.declared | base.declared)
        if self.item.on is None:
            return made
        told = self._told(made)
        return told or Wrapping(self, base).chosen({"changed": made}, "changed", made.wraps)

    def _told(self, made: Definition) -> Definition | None:
        """A block that takes `on` itself is told which tokens it serves."""
        graph = made.methods["forward"]
        value = next((v for v in graph.inputs if graph.name_of(v) == "on"), None)
        if value is None:
            return None
        fact = self.on()
        node = replace(graph.nodes[value.node], payload=Input(fact, outside=True), names=(fact,))
        nodes = (*graph.nodes[: value.node], node, *graph.nodes[value.node + 1 :])
        inputs = (*(v for v in graph.inputs if v != value), value)
        forward = replace(graph, nodes=nodes, inputs=inputs)
        return replace(made, methods={**made.methods, "forward": forward})

    def _fits(self, made: Definition, base: Definition) -> bool:
        """Whether a block takes what the part takes and gives what it gives (else E0602)."""
        graph, source = made.methods.get("forward"), base.methods["forward"]
        if graph is None:
            self.problem(f"`{made.block}` has no `forward`")
            return False
        declared = [t for name, t in own_inputs(graph).items() if name != "on"]
        found = list(own_inputs(source).values())
        if len(declared) != len(found):
            takes = "1 value" if len(declared) == 1 else f"{len(declared)} values"
            self.problem(f"`{made.block}` takes {takes} where `{base.block}` takes {len(found)}")
            return False
        matched = match_arguments(declared, found)
        result, wanted = result_of(graph), result_of(source)
        if matched.wrong is None and matched.result(result).shape == wanted.shape:
            return True
        self.ctx.sink.add(
            InjectionShape(
                at=self.item.span,
                problem=f"`{made.block}` gives {matched.result(result)} where `{base.block}` gives {wanted}"
                if matched.wrong is None
                else f"`{made.block}` takes {declared[matched.wrong]} where `{base.block}` "
                f"takes {found[matched.wrong]}",
                sizes=matched.clash,
                bound=matched.bound(),
            )
        )
        return False

    # ---- beside ----

    def _beside(self, base: Definition) -> Definition | None:
        """The part and a copy of it, which serves the tokens of one kind."""
        part = self.item.part
        name = part.function if isinstance(part, ast.CallExpr) else part
        if not isinstance(name, ast.Name) or self.item.on is None:
            self.problem(
                "`inject name beside part on <token>` says what to call the copy, and whom it serves"
            )
            return None
        copy = self._copy(base, part.arguments) if isinstance(part, ast.CallExpr) else base
        if copy is None:
            return None
        return Wrapping(self, base).chosen({BASE: base, name.name: copy}, name.name, BASE)

    def _copy(self, base: Definition, changes: tuple[ast.Argument, ...]) -> Definition | None:
        """The part's block with some parameters changed."""
        state = self.ctx.state
        source = state.sources.get(base)
        if source is None or source.scope.outer is None:
            self.problem(f"`{base.block}` is wrapped already, and its parameters cannot change")
            return None
        _, named = expr.arguments(changes, self.ctx)
        if any(isinstance(value, Poison) for value in named.values()):
            return None
        block = BlockRef(source.block, source.scope.outer)
        given = {**source.scope.names, **named}
        at = self.item.part
        assert at is not None
        made = state.engine.instantiate(block, [], given, at, self.ctx)
        return made.definition if isinstance(made, Made) else None

    # ---- what comes from outside ----

    def on(self) -> str:
        """Name of the fact that tells which tokens the injection serves."""
        assert self.item.on is not None
        rows = self._rows()
        name = f"on_{word(self.item.on)}" + ("" if rows is None else "_rows")
        self.facts[name] = TokenFact(name, "on", self.item.on, rows)
        return name

    def _rows(self) -> tuple[int | None, int | None] | None:
        bounds = self.item.on_rows
        if bounds is None:
            return None
        start, stop = (expr.evaluate(b, self.ctx) if b is not None else None for b in bounds)
        return (
            start.value if isinstance(start, Dim) and start.is_const else None,
            stop.value if isinstance(stop, Dim) and stop.is_const else None,
        )

    def last(self) -> str:
        """Name of the fact that tells the last image at or before each token."""
        assert self.item.where is not None
        token = self.item.where.seen
        name = f"last_{word(token)}"
        self.facts[name] = TokenFact(name, "last", token)
        return name


def word(token: str) -> str:
    """A token's name as an identifier: `<|image|>` is `image`."""
    return re.sub(r"\W+", "_", token).strip("_")
