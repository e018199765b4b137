"""Models: parts with roles, variants and overrides, and the components that follow from layout and LLM.

A model is a block whose methods are its components. Where it has images and an LLM they are derived here:
`encode` (pixels to the visual value of the layout), `embed` (token ids to embeddings, visual rows spliced in at the
placeholder), `decode` (embeddings to hidden states, cached) and `logits`.
Axes: I images, B batch, T tokens in this step, S tokens seen so far and now, N visual tokens per image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lmmdsl.diag.codes.facts import ComponentName
from lmmdsl.diag.codes.layout import VisualWidth
from lmmdsl.diag.codes.names import DuplicateName, UnknownMember, UnknownRole
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Graph, Value
from lmmdsl.sema import calls, signature
from lmmdsl.sema.arrange import Arrange
from lmmdsl.sema.blocks import Blocks, Body
from lmmdsl.sema.builder import GraphBuilder
from lmmdsl.sema.context import Context
from lmmdsl.sema.marks import BATCH, TOKENS
from lmmdsl.sema.methods import elaborate_method
from lmmdsl.sema.overrides import Overrides
from lmmdsl.sema.values import (
    POISON,
    Called,
    PartRef,
    Poison,
    Scope,
    Tensor,
)
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, TensorType

ROLES = ("encoder", "connector", "llm", "part")


COMPONENTS = frozenset({"encode", "embed", "read", "arrange", "decode", "logits"})


@dataclass
class Splice:
    """Where visual rows enter the text: the layout's span, its value and how that is called, the placeholder's id."""

    value: Tensor
    token: int
    span: Span
    name: str = "features"


class Models(Blocks):
    """Elaborates the model of a file."""

    def __init__(self, overrides: Overrides) -> None:
        super().__init__()
        self.overrides = overrides
        self.roles: dict[str, str] = {}
        self.encode = GraphBuilder()
        self._encoded: dict[str, object] = {}

    def define(
        self,
        item: ast.Let | ast.PartDecl | ast.LearnedDecl | ast.InputDecl,
        ctx: Context,
        body: Body,
    ) -> object:
        """Work out one named item, with the overrides that name it if it is the model's own."""
        if ctx.encoder is None:  # inside a block, whose items may be called as the model's are
            return super().define(item, ctx, body)
        if isinstance(item, ast.InputDecl):
            kind = signature.tensor_type(item.type, ctx, set())
            return self.encode.input(item.name, kind, item.span) if kind else POISON
        if isinstance(item, ast.Let) and (override := self.overrides.take((item.name,))):
            item = replace(item, value=override.value)
        if isinstance(item, ast.PartDecl):
            item = self.overrides.applied(item, ctx)
            self._role(item, ctx)
        value = super().define(item, ctx, body)
        if isinstance(value, PartRef):
            return replace(value, role=self.roles.get(item.name))
        if isinstance(value, Tensor):
            body.values.pop(item.name, None)
            self.encode.names.setdefault(value.value, item.name)
        return value

    def _role(self, item: ast.PartDecl, ctx: Context) -> None:
        role = item.role.name if item.role else "part"
        if item.role and role not in ROLES:
            ctx.sink.add(UnknownRole(at=item.role.span, name=role, candidates=ROLES))
        if role == "llm" and role in self.roles.values():
            ctx.sink.add(DuplicateName(at=item.name_span, name="llm", first=item.name_span))
        self.roles[item.name] = role

    # ---- components ----

    def context(self, ctx: Context) -> Context:
        """The place where model values are worked out: the graph from pixels to visual tokens."""
        return replace(ctx, graph=self.encode, encoder=self.run_encoder)

    def run_encoder(self, part: object, ctx: Context, at: Span) -> object:
        """The encoder's result on the images; it runs once however often it is named."""
        assert isinstance(part, PartRef)
        if part.path not in self._encoded:
            self._encoded[part.path] = self._encoder_call(part, ctx, at)
        return self._encoded[part.path]

    def _encoder_call(self, part: PartRef, ctx: Context, at: Span) -> object:
        graph = part.definitions[0].methods.get("forward")
        if graph is None or ctx.graph is not self.encode:
            return POISON
        taken = "pixel_values" in self.encode.names.values()
        name = f"{part.path}_pixel_values" if taken else "pixel_values"
        images = {"B": Dim.symbol("I")}
        pixels = self.encode.input(name, graph.type_of(graph.inputs[0]).subs(images), at)
        here = ast.Name(span=at, name=part.path)
        return calls.call_part(part, "forward", [pixels], {}, here, ctx)

    def encode_graphs(self, visuals: Sequence[Splice]) -> dict[str, Graph]:
        """`encode(pixel_values) -> features`, and `encode_NAME` of every further visual value."""
        graphs: dict[str, Graph] = {}
        for visual in visuals:
            name = f"encode_{visual.name}" if graphs else "encode"
            doc = "Encode images into visual tokens."
            graph = self.encode.finish((("result", visual.value.value),), visual.span, doc)
            graphs[name] = _reached(graph)
        return graphs

    def text_graphs(
        self,
        splices: Sequence[Splice],
        arrange: Arrange,
        scope: Scope,
        ctx: Context,
        block: ast.Block,
    ) -> dict[str, Graph]:
        """`embed`, `decode`, `logits`, `arrange` for facts that `decode` takes, and `read` of an encoder-decoder.

        Reports:
            E0206 when the LLM block lacks a method, E0501 when visual tokens are not as wide as its embeddings, and
            what `arrange` reports about facts.
        """
        name = next((name for name, role in self.roles.items() if role == "llm"), None)
        llm = scope.find(name) if name else None
        llm = llm.force(block.name_span) if hasattr(llm, "force") else llm
        if not isinstance(llm, PartRef) or llm.stack:
            return {}
        definition = llm.definitions[0]
        missing = [
            method for method in ("embed", "forward", "logits") if method not in definition.methods
        ]
        for method in missing:
            ctx.sink.add(
                UnknownMember(
                    at=llm.span,
                    owner=definition.block,
                    name=method,
                    candidates=tuple(definition.methods),
                )
            )
        if missing:
            return {}
        makers: dict[str, Callable[[], Graph | None]] = {
            "embed": lambda: self._embed(llm, splices, ctx),
            "read": lambda: self._read(llm, ctx),
            "decode": lambda: self._decode(llm, arrange, ctx),
            "logits": lambda: self._logits(llm, ctx),
            "arrange": lambda: arrange.graph(llm.span),
        }
        graphs = {method: make() for method, make in makers.items()}
        order = ("embed", "read", "arrange", "decode", "logits")
        return {method: graph for method in order if (graph := graphs[method])}

    def _embed(self, llm: PartRef, splices: Sequence[Splice], ctx: Context) -> Graph | None:
        graph = GraphBuilder()
        inner = replace(ctx, graph=graph, encoder=None)
        at = splices[0].span if splices else llm.span
        ids_type = TensorType(DType.INT, (Dim.symbol("B"), Dim.symbol("T")))
        ids = graph.input("input_ids", ids_type, at)
        if not splices:
            plain = self._method(llm, "embed", [ids], at, inner)
            return self._finish(graph, plain, at, "Embed token ids.")
        rows = [
            graph.input(
                splice.name if place else "features",
                replace(splice.value.type, optional=True),
                splice.span,
            )
            for place, splice in enumerate(splices)
        ]
        marks: list[object] = []
        text_ids: object = ids
        for place, splice in enumerate(splices):
            same = calls.apply("equal", [ids, Dim.of(splice.token)], {}, splice.span, inner)
            marks.append(_name(graph, same, f"is_{splice.name}" if place else "is_image"))
            # A placeholder may lie outside the vocabulary; one inside is a word where no images are given.
            if not _in_vocab(llm, splice.token):
                text_ids = calls.apply("where", [marks[-1], Dim.of(0), text_ids], {}, at, inner)
        text_ids = ids if text_ids is ids else _name(graph, text_ids, "text_ids")
        words = _name(graph, self._method(llm, "embed", [text_ids], at, inner), "words")
        if not isinstance(words, Tensor):
            return None
        result: object = words
        for splice, mark, row in zip(splices, marks, rows, strict=True):
            visual, width = splice.value.type.size(-1), words.type.size(-1)
            if visual != width:
                ctx.sink.add(self._too_wide(splice, visual, width))
                return None
            result = calls.apply("splice", [result, mark, row], {}, splice.span, inner)
        return self._finish(
            graph, result, at, "Embed token ids and put visual tokens at their placeholders."
        )

    def _too_wide(self, splice: Splice, visual: Dim, width: Dim) -> VisualWidth:
        """Visual rows do not fit: which connector they never went through, and which value would fit."""
        called = self.encode.parts_behind(splice.value.value)
        connectors = [name for name, role in self.roles.items() if role == "connector"]
        fitting = [name for name, kind in self.encode.rows() if kind.shape[-1] == width]
        return VisualWidth(
            at=splice.span,
            visual=visual,
            llm=width,
            unused=next((name for name in connectors if name not in called), ""),
            is_connected=any(name in called for name in connectors),
            fitting=fitting[-1] if fitting else "",
        )

    def _read(self, llm: PartRef, ctx: Context) -> Graph | None:
        """The encoder of an encoder-decoder, which reads the prompt once."""
        source = llm.definitions[0].methods.get("read")
        if source is None:
            return None
        graph = GraphBuilder()
        inner = replace(ctx, graph=graph, encoder=None)
        names = ("inputs_embeds", "attention_mask")
        given: list[object] = [
            graph.input(name, source.type_of(value), llm.span)
            for name, value in zip(names, source.inputs, strict=False)
        ]
        result = self._method(llm, "read", given, llm.span, inner)
        return self._finish(graph, result, llm.span, "Read the prompt.")

    def _decode(self, llm: PartRef, arrange: Arrange, ctx: Context) -> Graph | None:
        graph = GraphBuilder()
        inner = replace(ctx, graph=graph, encoder=None)
        definition = llm.definitions[0]
        embedded = definition.methods["embed"]
        width = embedded.type_of(embedded.outputs[0][1]).shape[-1]
        facts = arrange.inputs(definition.methods["forward"], llm)
        if facts is None:
            return None
        embeds = graph.input(
            "inputs_embeds", TensorType(DType.FLOAT, (BATCH, TOKENS, width)), llm.span
        )
        given = {fact.argument: graph.input(fact.name, fact.type, llm.span) for fact in facts}
        result = self._method(llm, "forward", [embeds], llm.span, inner, given)
        return self._finish(graph, result, llm.span, "Run the decoder over embeddings.")

    def _logits(self, llm: PartRef, ctx: Context) -> Graph | None:
        graph = GraphBuilder()
        inner = replace(ctx, graph=graph, encoder=None)
        source = llm.definitions[0].methods["logits"]
        kind = source.type_of(source.inputs[0])
        hidden = graph.input("hidden", kind, llm.span)
        result = self._method(llm, "logits", [hidden], llm.span, inner)
        return self._finish(graph, result, llm.span, "Score the vocabulary.")

    def _method(
        self,
        llm: PartRef,
        method: str,
        tensors: list[object],
        at: Span,
        ctx: Context,
        named: Mapping[str, object] | None = None,
    ) -> object:
        if any(isinstance(tensor, Poison) for tensor in tensors):
            return POISON
        here = ast.Name(span=at, name=llm.path)
        called = calls.call_part(llm, method, tensors, dict(named or {}), here, ctx)
        return called.result if isinstance(called, Called) else called

    def _finish(self, graph: GraphBuilder, result: object, at: Span, doc: str) -> Graph | None:
        if not isinstance(result, Tensor):
            return None
        return graph.finish((("result", result.value),), at, doc)

    def flows(self, methods: list[ast.Method], ctx: Context) -> dict[str, Graph]:
        """Explicit flows, each a method of the model (else E0202, or E0515 beside an LLM)."""
        found: dict[str, Graph] = {}
        flow = replace(ctx, graph=None, encoder=None, is_flow=True)
        taken = COMPONENTS if "llm" in self.roles.values() else frozenset()
        for method in methods:
            if method.name in taken or (taken and method.name.startswith("encode_")):
                ctx.sink.add(ComponentName(at=method.name_span, name=method.name))
            elif method.name in found:
                first = found[method.name].span
                ctx.sink.add(DuplicateName(at=method.name_span, name=method.name, first=first))
            elif _has_own_names(method, ctx) and (graph := elaborate_method(method, flow)):
                found[method.name] = graph
        return found


def _has_own_names(flow: ast.Method, ctx: Context) -> bool:
    """Whether inputs and results of a flow all have names of their own (else E0202): they name what files hold."""
    first: dict[str, Span] = {}
    given = [(item.name, item.span) for item in flow.inputs]
    for name, at in given + [(item.name or "", item.span) for item in flow.results]:
        if name in first:
            ctx.sink.add(DuplicateName(at=at, name=name, first=first[name]))
            return False
        if name:
            first[name] = at
    return True


def _in_vocab(llm: PartRef, token: int) -> bool:
    rows = llm.definitions[0].binding.get("vocab")
    return isinstance(rows, Dim) and rows.is_const and 0 <= token < rows.value


def _name(graph: GraphBuilder, value: object, name: str) -> object:
    if isinstance(value, Tensor):
        graph.names.setdefault(value.value, name)
    return value


def _reached(graph: Graph) -> Graph:
    """The graph without arguments that its result does not depend on."""
    live, waiting = set[Value](), [value for _, value in graph.outputs]
    while waiting:
        value = waiting.pop()
        if value not in live:
            live.add(value)
            waiting += [source for source in graph.nodes[value.node].inputs if source]
    return replace(graph, inputs=tuple(value for value in graph.inputs if value in live))
