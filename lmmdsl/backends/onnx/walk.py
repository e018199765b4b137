"""Walk method graphs and write ONNX nodes and local functions.

In functions mode every block that is more than a single operation on its own parameters becomes a
function, one per distinct definition, method, set of absent arguments and rank of open leading axes.
Its inputs are the method's arguments, then the parameters it reads, then cached keys and values, then
what is kept from the first step on; its outputs are the results, then the updated keys and values. In
flat mode everything is inlined, values keep their full path (`llm/layers.3/attn/y`), and `taps` tells
which values each part gave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import FunctionProto, NodeProto, OperatorSetIdProto, helper

from lmmdsl.backends.onnx.builder import OpBuilder
from lmmdsl.backends.onnx.frame import (
    Frame,
    Kinds,
    Options,
    bind,
    is_leaf,
    open_axes,
    open_ranks,
    signature,
)
from lmmdsl.backends.onnx.names import slashed
from lmmdsl.backends.onnx.protos import NUMPY, add_notes, element_type
from lmmdsl.backends.onnx.router import Router, Rows
from lmmdsl.backends.onnx.scope import OnnxError, Scope
from lmmdsl.backends.onnx.uses import Uses
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Node,
    Once,
    Read,
    Repeat,
    Route,
    Size,
    Stack,
    Value,
    distinct,
)
from lmmdsl.graph.names import definition_names, place
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType

OPSETS = {"std": 23, "ort": 23, "base": 18}
CONTRIB = "com.microsoft"
Names = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Tap:
    """What a part gave when its method ran (flat mode): value names in the order of its outputs."""

    path: str
    method: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Callee:
    """A method with everything that shapes its function."""

    definition: Definition
    method: str
    present: tuple[bool, ...]
    ranks: tuple[tuple[str, int], ...]

    @property
    def graph(self) -> Graph:
        """Dataflow of the method."""
        return self.definition.methods[self.method]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A call: instance path inside the scope, arguments and their types in outer symbols."""

    frame: Frame
    path: str
    names: Sequence[str | None]
    kinds: Kinds
    span: Span


class Walker:
    """Writes methods of one model into scopes and collects the functions they need."""

    def __init__(self, root: Definition, options: Options) -> None:
        self.functions: dict[Callee, FunctionProto] = {}
        self.taps: list[Tap] = []
        self.uses = Uses()
        self.options = options
        self._names = definition_names(root, distinct(root))

    def run(self, frame: Frame, method: str, arguments: Sequence[str | None]) -> Names:
        """Write a method into the frame's scope; gives the names of its results."""
        graph = frame.definition.methods[method]
        values: dict[Value, str | None] = dict(zip(graph.inputs, arguments, strict=True))
        results = {value for _, value in graph.outputs}
        for index, node in enumerate(graph.nodes):
            if isinstance(node.payload, Input):
                continue
            mark = len(frame.scope.nodes)
            for slot, name in enumerate(self._step(frame, graph, node, values)):
                value = Value(index, slot)
                own = graph.name_of(value) or ("y" if value in results else "")
                values[value] = label(frame, name, own, node.types[slot], since=mark)
        return tuple(values[value] for _, value in graph.outputs)

    def _step(
        self, frame: Frame, graph: Graph, node: Node, values: Mapping[Value, str | None]
    ) -> tuple[str, ...]:
        names = tuple(None if value is None else values[value] for value in node.inputs)
        match node.payload:
            case Apply(op):
                made = op.onnx(OpBuilder(frame, graph, node, names, self.options), *names)
                return (made,) if isinstance(made, str) else tuple(made)
            case Call(part, method, definition):
                site = _site(frame, graph, node, names, part)
                return self._call(site, definition, method)
            case Repeat():
                site = _site(frame, graph, node, names, node.payload.part)
                return self._repeat(site, node.payload, frame.outer(node.types[0]))
            case Once(method):
                return self._once(frame, node, method, names)
            case Route():
                return (self._route(frame, graph, node, node.payload, names),)
        return (self._given(frame, node),)

    def _given(self, frame: Frame, node: Node) -> str:
        """A value that needs no computation."""
        match node.payload:
            case Read(path):
                return frame.scope.read(frame.join(path))
            case Constant(number):
                element = element_type(node.types[0].dtype, self.options.floats)
                return frame.scope.constant(np.asarray(number, NUMPY[element]), element)
            case Size(size):
                return frame.scope.scalar(size.subs(frame.sizes))
        raise OnnxError("an input is not a step")

    def _route(self, frame: Frame, graph: Graph, node: Node, pair: Route, names: Names) -> str:
        """Gather the tokens of each part, and put what the parts give back in order."""
        mask, tokens = names
        source = node.inputs[1]
        if mask is None or tokens is None or source is None:
            raise OnnxError("tokens and their mask must be given")
        router = Router(frame, mask, tokens, graph.type_of(source))

        def send(call: Call, rows: Rows) -> str:
            site = Site(
                frame=frame,
                path=frame.join(call.part),
                names=(rows.name,),
                kinds=(rows.kind,),
                span=node.span,
            )
            return self._call(site, call.definition, call.method)[0]

        results = (send(pair.one, router.picked()), send(pair.other, router.left()))
        return router.joined(results, frame.outer(node.types[0]))

    def _once(self, frame: Frame, node: Node, method: str, names: Names) -> tuple[str, ...]:
        if not self.options.kept:
            return tuple(name or "" for name in self.run(frame, method, names))
        kept = frame.scope.kept.popleft()
        for name, kind in zip(kept, node.types, strict=True):
            frame.scope.measure(name, frame.outer(kind))
        return kept

    def _repeat(self, site: Site, stack: Repeat, kind: TensorType) -> tuple[str, ...]:
        state, *others = site.names
        states: list[str | None] = []
        for layer, definition in enumerate(stack.definitions):
            at = Site(
                frame=site.frame,
                path=f"{site.path}.{layer}",
                names=(state, *others),
                kinds=site.kinds,
                span=site.span,
            )
            state = self._call(at, definition, stack.method)[0]
            states.append(state)
            if layer + 1 not in stack.states:
                site.frame.scope.know(state, kind)
        return tuple(states[number - 1] or "" for number in stack.states)

    def _call(self, site: Site, definition: Definition, method: str) -> tuple[str, ...]:
        if self._is_inlined(site.frame.scope, definition):
            return self._inline(site, definition, method)
        graph = definition.methods[method]
        present = tuple(name is not None for name in site.names)
        callee = Callee(definition, method, present, open_ranks(graph, site.kinds))
        if callee not in self.functions:
            self.functions[callee] = self._function(callee)
        return self._call_function(site, callee)

    def _is_inlined(self, scope: Scope, definition: Definition) -> bool:
        if self.options.flat or is_leaf(definition):
            return True
        # Layers of a stack stay visible in the main graph instead of hiding in one huge call.
        return scope.is_main and any(isinstance(p, Stack) for p in definition.parts.values())

    def _inline(self, site: Site, definition: Definition, method: str) -> tuple[str, ...]:
        graph = definition.methods[method]
        rests = open_axes(open_ranks(graph, site.kinds))
        frame = Frame(
            definition=definition,
            scope=site.frame.scope,
            path=site.path,
            rests=rests,
            sizes=bind(graph, site.kinds, rests),
        )
        results = tuple(name or "" for name in self.run(frame, method, site.names))
        self.taps.append(Tap(site.path, method, results))
        return results

    def _call_function(self, site: Site, callee: Callee) -> tuple[str, ...]:
        scope, function = site.frame.scope, self.functions[callee]
        params = self.uses.params(callee.definition, callee.method)
        slots = len(self.uses.slots(callee.definition, callee.method)) if self.options.cached else 0
        cached = [name for _ in range(slots) for name in scope.past.popleft()]
        counts = self.uses.kept(callee.definition, callee.method) if self.options.kept else ()
        cached += [name for _ in counts for name in scope.kept.popleft()]
        stem = slashed(site.path)
        plain = [f"{stem}/{_result(name)}" for name, _ in callee.graph.outputs]
        kinds = ("key", "value")
        present = [f"{stem}/present.{slot}.{kind}" for slot in range(slots) for kind in kinds]
        made = scope.add(
            function.name,
            [
                *(name for name in site.names if name is not None),
                *(scope.read(f"{site.path}.{path}") for path in params),
                *cached,
            ],
            stem=stem,
            results=[*plain, *present],
            domain=function.domain,
            notes={"namespace": stem, "lmm": place(site.span)},
        )
        updated = made[len(plain) :]
        scope.present.extend(zip(updated[::2], updated[1::2], strict=True))
        return made[: len(plain)]

    def _function(self, callee: Callee) -> FunctionProto:
        definition, graph = callee.definition, callee.graph
        scope = Scope(is_main=False)
        frame = Frame(definition=definition, scope=scope, rests=open_axes(callee.ranks))
        formals = [
            scope.add_input(name, frame.own(kind)) if given else None
            for (name, kind), given in zip(signature(graph), callee.present, strict=True)
        ]
        params = [scope.read(path) for path in self.uses.params(definition, callee.method)]
        slots = self.uses.slots(definition, callee.method) if self.options.cached else ()
        for slot in range(len(slots)):
            key, value = (scope.fresh(f"past.{slot}.{kind}") for kind in ("key", "value"))
            scope.past.append((key, value))
        counts = self.uses.kept(definition, callee.method) if self.options.kept else ()
        for number, count in enumerate(counts):
            scope.kept.append(tuple(scope.fresh(f"kept.{number}.{n}") for n in range(count)))
        cached = [name for names in (*scope.past, *scope.kept) for name in names]
        results = scope.own_results(self.run(frame, callee.method, formals))
        proto = FunctionProto(
            name=self._function_name(callee),
            domain=self.options.domain,
            input=[*(name for name in formals if name), *params, *cached],
            output=[*results, *(name for pair in scope.present for name in pair)],
            node=scope.nodes,
            opset_import=opset_imports(scope.nodes, self.options),
            doc_string=definition.doc.split("\n", 1)[0],
        )
        add_notes(proto.metadata_props, {"lmm": place(graph.span)})
        return proto

    def _function_name(self, callee: Callee) -> str:
        name = self._names[callee.definition]
        if callee.method != "forward":
            name += f"_{callee.method}"
        taken = {function.name for function in self.functions.values()}
        number, free = 2, name
        while free in taken:
            number, free = number + 1, f"{name}_{number}"
        return free


def _site(frame: Frame, graph: Graph, node: Node, names: Sequence[str | None], part: str) -> Site:
    kinds = tuple(
        None if value is None or name is None else frame.outer(graph.type_of(value))
        for value, name in zip(node.inputs, names, strict=True)
    )
    return Site(frame=frame, path=frame.join(part), names=names, kinds=kinds, span=node.span)


def label(frame: Frame, name: str, own: str, kind: TensorType, *, since: int) -> str:
    """Name a fresh value as the source does; values that already have a name keep it."""
    scope = frame.scope
    name = scope.settle(name)
    if name in scope.types or not scope.makes(name, since=since):
        return name
    if own and not scope.is_shared(name):
        stem = slashed(frame.path)
        own = scope.fresh(f"{stem}/{own}" if stem else own)
        scope.rename(name, own, since=since)
        name = own
    scope.know(name, frame.outer(kind))
    return name


def _result(name: str) -> str:
    return "y" if name == "result" else name.replace("result.", "y")


def opset_imports(nodes: Sequence[NodeProto], options: Options) -> list[OperatorSetIdProto]:
    """Operator sets that a body needs."""
    domains = sorted({node.domain for node in nodes} | {""})
    versions = {"": OPSETS[options.profile]}
    return [helper.make_opsetid(domain, versions.get(domain, 1)) for domain in domains]
