"""From a source file to a checked `Program`: the one entry of semantic analysis."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from lmmdsl.diag.codes.emit import NotInBackend
from lmmdsl.diag.codes.layout import NoLoss
from lmmdsl.diag.codes.names import DuplicateName, NoModel, RoleMissing, SecondModel
from lmmdsl.diag.codes.project import UnknownVariant
from lmmdsl.diag.codes.sequence import UnusedPart
from lmmdsl.diag.codes.types import BadValue, TooDeep, UnknownSetting
from lmmdsl.diag.codes.weights import TrainsNothing
from lmmdsl.diag.sink import Sink
from lmmdsl.diag.suggest import within
from lmmdsl.dims.expr import Dim, TooComplex
from lmmdsl.graph.ir import Definition, Graph, Instance
from lmmdsl.graph.program import Layout, Program, Slot, Stage, Vocab, Weights, flat
from lmmdsl.passes.count import goes_on
from lmmdsl.passes.entries import reached_twice
from lmmdsl.passes.keep import STEP
from lmmdsl.passes.prune import prune
from lmmdsl.passes.share import share
from lmmdsl.passes.stages import count_stage
from lmmdsl.sema.arrange import Arrange
from lmmdsl.sema.blocks import Body
from lmmdsl.sema.context import MAX_DEPTH, Context, Exhausted, State, Thunk
from lmmdsl.sema.inject import Injection, make_plan
from lmmdsl.sema.layout import Room, build_layout, build_vocab, check_turn, distinct_rows
from lmmdsl.sema.model import Models, Splice
from lmmdsl.sema.modules import Loader, Modules
from lmmdsl.sema.naming import declared_names
from lmmdsl.sema.overrides import Overrides
from lmmdsl.sema.plan import EMPTY, Plan
from lmmdsl.sema.sections import (
    build_preprocess,
    build_stage,
    build_weights,
    check_size,
)
from lmmdsl.sema.titles import check_titles, titled_roles
from lmmdsl.sema.values import Called, Scope, Tensor
from lmmdsl.sema.variants import check_variants
from lmmdsl.sema.weave import outside
from lmmdsl.syntax import ast
from lmmdsl.text.source import SourceFile, Span
from lmmdsl.weights.map import check_maps

Found = TypeVar("Found", bound=ast.Syntax)


def analyse(
    source: SourceFile,
    loader: Loader,
    *,
    sink: Sink,
    variant: str | None = None,
    overrides: tuple[ast.Override, ...] = (),
) -> Program | None:
    """Check a file's model.

    Args:
        source: the file.
        loader: where imports come from.
        sink: where every mistake is reported.
        variant: name of a `variant` section to apply.
        overrides: settings from outside; they win over the variant's.

    Returns:
        The program, or None when there is an error.
    """
    modules = Modules(loader, sink)
    try:
        scope = modules.scope(source)
        block = _model(modules.parsed[source], source, sink)
        if block is None:
            return None
        chosen = _overrides(block, variant, overrides, sink)
        if chosen is None:
            return None
        analysis = Analysis(block, source, scope, sink, chosen)
        program = analysis.program(modules.parsed[source], variant)
        if program is not None:
            check_maps(program, sink)
    except Exhausted:
        return None
    except TooComplex as error:
        start = Span(source, 0, 0)
        sink.add(BadValue(at=start, what="a size of this model", problem=str(error)))
        return None
    except RecursionError:
        sink.add(TooDeep(at=Span(source, 0, 0), limit=MAX_DEPTH, chain=()))
        return None
    return None if sink.has_errors else program


def _model(module: ast.Module, source: SourceFile, sink: Sink) -> ast.Block | None:
    models = [block for block in module.blocks if block.is_model]
    if not models:
        if not sink.has_errors:
            sink.add(NoModel(at=Span(source, 0, 0)))
        return None
    for other in models[1:]:
        sink.add(SecondModel(at=other.name_span, name=other.name, first=models[0].name_span))
    return models[0]


def _overrides(
    block: ast.Block, variant: str | None, outside: tuple[ast.Override, ...], sink: Sink
) -> Overrides | None:
    variants = {item.name: item for item in block.items if isinstance(item, ast.Variant)}
    if variant is not None and variant not in variants:
        sink.add(UnknownVariant(name=variant, candidates=tuple(variants)))
        return None
    items = variants[variant].overrides if variant is not None else ()
    return Overrides({item.path: item for item in (*items, *outside)})


class Analysis:
    """The elaboration of one model."""

    def __init__(
        self, block: ast.Block, source: SourceFile, scope: Scope, sink: Sink, overrides: Overrides
    ) -> None:
        self.block = block
        self.source = source
        self.sink = sink
        self.overrides = overrides
        self.outer = scope
        self.injections: list[Injection] = []
        self.whole = True  # whether every injection stands at its place
        self._begin(State(sink, Models(overrides)), EMPTY)

    def _begin(self, state: State, plan: Plan) -> None:
        """Start on the model's items, with injections at the points of a plan."""
        self.models = Models(self.overrides)
        self.scope = Scope(outer=self.outer)
        self.ctx = self.models.context(Context(state, self.scope, plan=plan))

    def items(self, kind: type[Found]) -> list[Found]:
        """Items of one kind, in source order."""
        return [item for item in self.block.items if isinstance(item, kind)]

    def program(self, module: ast.Module, variant: str | None) -> Program | None:
        """Elaborate everything; independent mistakes are all reported."""
        body = self._body()
        if self.items(ast.Inject):
            body = self._woven(body)
        llm = body.parts.get(next((n for n, r in self.models.roles.items() if r == "llm"), ""))
        room = _room(getattr(llm, "definition", None))
        vocab = build_vocab(self.items(ast.Vocabulary), room, self.overrides, self.ctx)
        layouts: list[Layout] = []
        spliced: list[Splice] = []
        for item in self.items(ast.LayoutDecl):
            layout, found = build_layout(item, vocab, room, self.ctx)
            layouts.append(layout)
            spliced += found
        splices = distinct_rows(spliced, self.ctx)
        arrange = self._arrange(vocab, layouts)
        methods = self.models.text_graphs(splices, arrange, self.scope, self.ctx, self.block)
        for item in self.items(ast.LayoutDecl) if methods else ():
            check_turn(item, reads="read" in methods, ctx=self.ctx)
        self._check_handed(methods)
        methods = {**self.models.encode_graphs(self._visuals(splices)), **methods}
        methods |= self.models.flows(body.methods, self.ctx)
        root = Definition(
            block=self.block.name, binding={}, doc=self.block.doc, span=self.block.span, parts=body.parts,
            methods=methods, values=body.values, declared=declared_names(self.block.items),
        )  # fmt: skip
        self._check_cache(root)
        preprocess = self._preprocess(body)
        self._check_names()
        stages: tuple[Stage, ...] = ()
        weights: tuple[Weights, ...] = ()
        if self.whole:  # else paths into what could not be injected would fail as well
            stages = tuple(build_stage(item, root, self.ctx) for item in self.items(ast.StageDecl))
            maps = (item for item in self.items(ast.Naming) if item.repository is not None)
            weights = tuple(build_weights(item, root, self.ctx) for item in maps)
        self._check_roles(tuple(layouts))
        self.overrides.check(self.ctx)
        check_variants(self.block, variant, root, self.ctx)
        check_titles(self.block, self.ctx)
        if self.sink.has_errors:
            return None
        live = share(prune(root))
        self._check_used(live)
        program = Program(
            name=self.block.name,
            doc=self.block.doc or module.doc,
            file=self.source,
            source=next((item.text for item in self.items(ast.SourceDecl)), ""),
            root=live,
            full=root,
            roles=titled_roles(self.block, variant, self.models.roles),
            vocab=vocab,
            layouts=tuple(layouts),
            stages=stages,
            weights=weights,
            injections=tuple(injection.woven() for injection in self.injections),
            preprocess=preprocess,
            context=room.context.value if room.context else None,
            prefix=arrange.prefix,
            variant=variant,
            spec_hash=_hash(self.source, variant, self.overrides),
        )
        self._check_stages(program)
        return program

    def _body(self) -> Body:
        body = Body()
        self.models.items(self.block.items, self.ctx, body, self.block.name_span)
        return body

    def _woven(self, body: Body) -> Body:
        """The model's items once more, with its injections, whose text may use what they were without.

        Reports:
            E0601 for a selector that matches nothing, E0602 for what does not fit its place.
        """
        plain = replace(self.ctx, graph=None, encoder=None)
        tree = Definition(
            block=self.block.name, binding={}, doc="", span=self.block.span, parts=body.parts, methods={},
            declared=declared_names(self.block.items),
        )  # fmt: skip
        self.injections = [Injection(item, plain) for item in self.items(ast.Inject)]
        errors = self.sink.errors
        plan = make_plan(self.injections, tree)
        self.whole = not self.sink.has_errors
        if self.whole:
            self._begin(plain.state, plan)
            body = self._body()
            self.whole = errors == self.sink.errors
        return body

    def _preprocess(self, body: Body) -> Mapping[str, Mapping[str, object]]:
        found: dict[str, Mapping[str, object]] = {}
        for item in self.items(ast.Section):
            if item.kind == "preprocess":
                if item.name not in self.models.roles:
                    known = tuple(self.models.roles)
                    self.sink.add(
                        UnknownSetting(
                            at=item.span, section="preprocess", name=item.name, candidates=known
                        )
                    )
                found[item.name] = build_preprocess(item, self.ctx)
                part = body.parts.get(item.name)
                if isinstance(part, Instance):
                    check_size(item, part.definition, self.ctx)
        return found

    def _visuals(self, splices: list[Splice]) -> list[Splice]:
        """What images become: the values of the layouts, and the one that injections hand down.

        Reports:
            E0801 where an injection reads another value than the layouts show first.
        """
        found = splices[0] if splices else None
        for injection in self.injections:
            for name in injection.values:
                value = self.scope.find(name)
                value = value.force(injection.item.span) if isinstance(value, Thunk) else value
                value = value.result if isinstance(value, Called) else value
                if not isinstance(value, Tensor):
                    continue
                if found is not None and found.value.value != value.value:
                    what = f"a second visual value, `{name}`"
                    self.sink.add(NotInBackend(at=injection.item.span, backend="", what=what))
                found = found or Splice(value, -1, injection.item.span)
        return splices or ([found] if found else [])

    def _check_handed(self, methods: Mapping[str, Graph]) -> None:
        """What injections declare comes from flows: nothing gives it while text is read and written (E0602)."""
        asked = {name for graph in methods.values() for name in outside(graph)}
        for injection in self.injections:
            for declared in injection.item.takes:
                if isinstance(declared, ast.InputDecl) and declared.name in asked:
                    llm = f"nothing hands `{declared.name}` down to the LLM"
                    injection.problem(f"{llm}: name a value of the model in the body instead")

    def _check_used(self, live: Definition) -> None:
        """Beside an LLM with a layout, what reads or carries images has a use (E0516)."""
        roles = self.models.roles
        if "llm" not in roles.values() or not self.items(ast.LayoutDecl):
            return
        idle = [name for name in roles if name not in live.parts]
        readers = [
            name for name in idle if roles[name] == "encoder"
        ]  # what follows them is idle, too
        named = readers or [name for name in idle if roles[name] == "connector"]
        width = live.methods["embed"].type_of(live.methods["embed"].outputs[0][1]).shape[-1]
        fitting = [name for name, kind in self.models.encode.rows() if kind.shape[-1] == width]
        layouts = (item.span for item in self.items(ast.LayoutDecl))
        tokens = (within(span, f"<{name}>") for span in layouts for name in ("image", "img"))
        place = next((at for at in tokens if at), None)
        for item in self.items(ast.PartDecl):
            if item.name in named:
                self.sink.add(
                    UnusedPart(
                        at=item.name_span,
                        part=item.name,
                        role=roles[item.name],
                        value=fitting[-1] if fitting else "",
                        token=place.text.strip("<>") if place else "",
                        place=place,
                    )
                )

    def _check_stages(self, program: Program) -> None:
        """Every stage trains something that is used (E0710)."""
        for stage in program.stages if not self.sink.has_errors else ():
            parts = count_stage(program, stage)
            if not any(part.trained or part.adapters for part in parts):
                at = within(stage.span, stage.name) or stage.span
                known = tuple(part.part for part in parts if part.used)
                self.sink.add(TrainsNothing(at=at, stage=stage.name, parts=known))

    def _check_cache(self, root: Definition) -> None:
        """One step of decoding comes to every cached attention once (E0801)."""
        steps = [name for name in root.methods if name == STEP or goes_on(root, name)]
        for node in filter(None, (reached_twice(root, name) for name in steps)):
            what = "a part that keeps keys and values and is called twice in one step"
            self.sink.add(NotInBackend(at=node.span, backend="", what=what))

    def _arrange(self, vocab: Vocab, layouts: list[Layout]) -> Arrange:
        """What the LLM is told of its tokens; sections about it need one (E0214)."""
        arrange = Arrange(vocab, layouts, self.block.name_span, self.ctx)
        has_llm = "llm" in self.models.roles.values()
        for places in self.items(ast.Positions):
            if has_llm:
                arrange.place(places)
            else:
                self.sink.add(
                    RoleMissing(at=places.span, section="section `positions`", role="llm")
                )
        for rules in self.items(ast.Visibility):
            arrange.show(rules)
        for injection in self.injections:
            for fact in injection.facts.values():
                arrange.hand_down(fact, injection.item.span)
        return arrange

    def _check_roles(self, layouts: tuple[Layout, ...]) -> None:
        """A layout is the input of an LLM (E0214); where stages train it, some of it is learned (W0510)."""
        if layouts and "llm" not in self.models.roles.values():
            self.sink.add(RoleMissing(at=layouts[0].span, section="layout", role="llm"))
        if self.sink.has_errors or not self.items(ast.StageDecl):
            return
        for layout in layouts:
            if not any(isinstance(slot, Slot) and slot.loss for slot in flat(layout.segments)):
                self.sink.add(NoLoss(at=layout.span, layout=layout.name))

    def _check_names(self) -> None:
        named = (
            self.items(ast.StageDecl),
            self.items(ast.Variant),
            self.items(ast.LayoutDecl),
        )
        for items in named:
            first: dict[str, Span] = {}
            for item in items:
                if item.name in first:
                    known = first[item.name]
                    at = within(item.span, item.name) or item.span
                    self.sink.add(DuplicateName(at=at, name=item.name, first=known))
                first.setdefault(item.name, within(item.span, item.name) or item.span)


def _room(llm: object) -> Room:
    if not isinstance(llm, Definition):
        return Room(None, None)
    rows, context = llm.binding.get("vocab"), llm.binding.get("context")
    return Room(
        rows if isinstance(rows, Dim) and rows.is_const else None,
        context if isinstance(context, Dim) and context.is_const else None,
    )


def _hash(source: SourceFile, variant: str | None, overrides: Overrides) -> str:
    settings = sorted(
        f"{'.'.join(path)}={item.value.span.text}" for path, item in overrides.items.items()
    )
    text = "\0".join([source.text, variant or "", *settings])
    return hashlib.sha256(text.encode()).hexdigest()
