"""Main graphs: the ONNX files of a model, before their weights are placed.

Takes the root definition; gives a `Component`: the model proto without weights, and the parameters
it needs. A decoder graph is `decode`, a slice that keeps the last `num_logits_to_keep` positions
(0 keeps all), and `logits`. Image features travel flat, `[num_image_tokens, width]`: one graph then
serves any number of images, also none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from lmmdsl.backends.onnx.frame import Frame, Options, open_axes, signature
from lmmdsl.backends.onnx.memory import Kept, Preparer
from lmmdsl.backends.onnx.names import AXES
from lmmdsl.backends.onnx.protos import make_tensor, make_value
from lmmdsl.backends.onnx.scope import Scope
from lmmdsl.backends.onnx.walk import Tap, Walker, opset_imports
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Graph, Param
from lmmdsl.passes.count import CacheSlot
from lmmdsl.passes.keep import STEP, keep, lasting
from lmmdsl.passes.route import route
from lmmdsl.types.tensor import Axis, DType, TensorType

# Operator sets fix the IR version they came with; metadata on nodes needs 10.
IR_VERSIONS = {"std": 11, "ort": 11, "base": 10}
LAST = 2**63 - 1
KEEP = "num_logits_to_keep"
MEMORY = "encoder_hidden_states"


@dataclass(frozen=True, slots=True)
class Component:
    """One ONNX file without its weights.

    Attributes:
        name: file name without suffix.
        model: the graph; parameters are not yet among its initialisers.
        params: the parameters it reads, by path, which is also the name of the initialiser.
        slots: cache entries of a decoder.
        taps: what each part gave (flat mode).
    """

    name: str
    model: ModelProto
    params: Mapping[str, Param]
    slots: tuple[CacheSlot, ...] = ()
    taps: tuple[Tap, ...] = ()


class MainGraph:
    """A main graph under construction."""

    def __init__(
        self, root: Definition, options: Options, ranks: Mapping[str, int] | None = None
    ) -> None:
        self.scope = Scope(is_main=True)
        self.walker = Walker(root, options)
        self.options = options
        self._root = root
        self._rests = open_axes(tuple((ranks or {}).items()))
        self._axes = dict(AXES)
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._renamed: dict[str, str] = {}

    def frame(self, graph: Graph) -> Frame:
        """The root at work, with run-time sizes under their public names."""
        symbols = {s for n in graph.nodes for t in n.types for a in t.shape for s in _symbols(a)}
        sizes = {symbol: Dim.symbol(self._axes.get(symbol, symbol)) for symbol in symbols}
        return Frame(definition=self._root, scope=self.scope, rests=self._rests, sizes=sizes)

    def call_axis(self, size: Axis, name: str) -> None:
        """From here on, call a run-time size of the methods by this name."""
        for symbol in _symbols(size):
            self._axes[symbol] = name

    def input(self, name: str, kind: TensorType) -> str:
        """Declare a graph input; masks are int64 outside and boolean inside."""
        outside = TensorType(DType.INT, kind.shape) if kind.dtype is DType.BOOL else kind
        self._inputs.append(make_value(name, outside, self.options.floats))
        self.scope.add_input(name, outside)
        if kind.dtype is not DType.BOOL:
            return name
        return self.node("Cast", name, to=TensorProto.BOOL)

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add a node of the graph's own."""
        return self.scope.add(kind, inputs, stem="", attributes=attributes)[0]

    def method(self, name: str, given: Mapping[str, str | None] | None = None) -> tuple[str, ...]:
        """Run a method of the root; arguments that are not given become graph inputs, None leaves one out."""
        graph = self._root.methods[name]
        frame, known = self.frame(graph), given or {}
        arguments = [
            known[formal] if formal in known else self.input(formal, frame.outer(kind))
            for formal, kind in signature(graph)
        ]
        return tuple(result or "" for result in self.walker.run(frame, name, arguments))

    def results(self, method: str) -> tuple[tuple[str, TensorType], ...]:
        """Names and types of a method's outputs."""
        graph = self._root.methods[method]
        frame = self.frame(graph)
        return tuple((name, frame.outer(graph.type_of(value))) for name, value in graph.outputs)

    def output(self, name: str, value: str, kind: TensorType) -> None:
        """Declare a graph output."""
        declared = {item.name for item in self._outputs}
        value = self._renamed.get(value, value)  # one value may be two outputs
        if value != name and self.scope.makes(name, since=0):  # another value has the name
            self._renamed[name] = self.scope.fresh(name)
            self.scope.rename(name, self._renamed[name], since=0)
        if value in declared or not self.scope.makes(value, since=0) or self.scope.is_shared(value):
            value = self.node("Identity", value)
        self.scope.fresh(name)
        self.scope.rename(value, name, since=0)
        self._renamed[value] = name
        self._outputs.append(make_value(name, kind, self.options.floats))

    def mask(self, name: str, value: str, kind: TensorType) -> None:
        """Declare an output that is a mask: int64 outside, as masks are where they enter."""
        if value == name:  # the name is that of the number
            value = self.scope.fresh(f"{name}_holds")
            self.scope.rename(name, value, since=0)
        number = self.node("Cast", value, to=TensorProto.INT64)
        self.output(name, number, TensorType(DType.INT, kind.shape))

    def pasts(self, method: str) -> tuple[CacheSlot, ...]:
        """Declare the cache inputs of a method."""
        slots = self.walker.uses.slots(self._root, method)
        for layer, slot in enumerate(slots):
            key, value = (
                self._past(f"past_key_values.{layer}.{part}", slot.heads, size)
                for part, size in (("key", slot.key), ("value", slot.value))
            )
            self.scope.past.append((key, value))
        return slots

    def _past(self, name: str, heads: int, size: int) -> str:
        kind = _cache(heads, size, "past_sequence_length")
        self._inputs.append(make_value(name, kind, self.options.floats))
        return self.scope.add_state(name, kind)

    def take_kept(self, kept: Sequence[Kept]) -> None:
        """Declare what a decoder keeps from its first step on as inputs."""
        declared = {item.name: self._kept_input(item) for item in kept}
        names = iter(declared.values())
        for count in self.walker.uses.kept(self._root, STEP) if kept else ():
            self.scope.kept.append(tuple(next(names) for _ in range(count)))

    def _kept_input(self, item: Kept) -> str:
        self._inputs.append(make_value(item.name, item.kind, self.options.floats))
        return self.scope.add_state(item.name, item.kind)

    def presents(self, slots: Sequence[CacheSlot]) -> None:
        """Declare the cache outputs."""
        for layer, (slot, names) in enumerate(zip(slots, tuple(self.scope.present), strict=True)):
            for part, size, name in zip(
                ("key", "value"), (slot.key, slot.value), names, strict=True
            ):
                self.output(
                    f"present.{layer}.{part}",
                    name,
                    _cache(slot.heads, size, "total_sequence_length"),
                )

    def component(self, name: str, slots: tuple[CacheSlot, ...] = ()) -> Component:
        """Finish the graph."""
        params = dict(self._root.params())
        names = {item.name for item in self._outputs}
        made = {output for node in self.scope.nodes for output in node.output}
        infos = [
            make_value(value, kind, self.options.floats)
            for value, kind in self.scope.types.items()
            if value in made and value not in names
        ]
        graph = GraphProto(
            name=name,
            node=self.scope.nodes,
            initializer=self.scope.initializers,
            input=self._inputs,
            output=self._outputs,
            value_info=infos,
        )
        return Component(
            name,
            self._model(graph),
            {path: params[path] for path in self.scope.params},
            slots,
            tuple(self.walker.taps),
        )

    def _model(self, graph: GraphProto) -> ModelProto:
        functions = list(self.walker.functions.values())
        nodes = [*graph.node, *(node for function in functions for node in function.node)]
        return ModelProto(
            ir_version=IR_VERSIONS[self.options.profile],
            producer_name="lmmdsl",
            opset_import=opset_imports(nodes, self.options),
            graph=graph,
            functions=functions,
        )


def vision_component(root: Definition, options: Options) -> Component:
    """`pixel_values` to `image_features`, flat over images."""
    main = MainGraph(root, options)
    (value,), ((_, kind),) = main.method("encode"), main.results("encode")
    flat, rows = _flat(kind), [-1, *_sizes(kind.shape[-1:])]
    main.output("image_features", main.node("Reshape", value, main.scope.integers(rows)), flat)
    return main.component("vision_encoder")


def embed_component(root: Definition, options: Options) -> Component:
    """`input_ids` and `image_features` to `inputs_embeds`."""
    main = MainGraph(root, options)
    given: dict[str, str] = {}
    graph = root.methods["embed"]
    for formal, kind in signature(graph):
        if kind.dtype is DType.FLOAT:
            name = "image_features" if formal == "features" else formal
            given[formal] = _features(main, main.frame(graph).outer(kind), name)
    (value,), ((_, kind),) = main.method("embed", given), main.results("embed")
    main.output("inputs_embeds", value, kind)
    return main.component("embed_tokens")


def _features(main: MainGraph, kind: TensorType, called: str = "image_features") -> str:
    name = main.input(called, _flat(kind, called))
    sizes = _sizes(kind.shape[1:])  # where images may have any size, every row is one by itself
    images = main.node("Reshape", name, main.scope.integers([-1, *sizes]))
    main.scope.measure(images, kind)
    return images


def _flat(kind: TensorType, called: str = "image_features") -> TensorType:
    count = "num_image_tokens" if called == "image_features" else f"num_{called}"
    return TensorType(kind.dtype, (Dim.symbol(count), kind.shape[-1]))


def _sizes(shape: Sequence[Axis]) -> list[int]:
    return [size.value if isinstance(size, Dim) and size.is_const else 1 for size in shape]


def reads_features(decode: Graph) -> str | None:
    """The argument of `decode` for image features that its layers read, None where none do."""
    floats = (name for name, kind in signature(decode)[1:] if kind.dtype is DType.FLOAT)
    return next((name for name in floats if name != MEMORY), None)


def reader_component(root: Definition, options: Options) -> Component:
    """The encoder of an encoder-decoder: embeddings of a prompt to what the decoder remembers of it."""
    main = MainGraph(root, options)
    graph = root.methods["read"]
    main.call_axis(graph.type_of(graph.inputs[0]).shape[1], "encoder_sequence_length")
    frame = main.frame(graph)
    given = {name: main.input(name, frame.outer(kind)) for name, kind in signature(graph)}
    (value,), ((_, kind),) = main.method("read", given), main.results("read")
    main.output("last_hidden_state", value, kind)
    return main.component("encoder_model")


def memory_component(
    root: Definition, options: Options
) -> tuple[Component, tuple[Kept, ...]] | None:
    """What the decoder reads beside tokens to what it keeps of that; None where it keeps nothing."""
    main = MainGraph(root, options)
    preparer = Preparer(root, options)
    if not preparer.uses.kept(root, STEP):
        return None
    graph = root.methods[STEP]
    _call_axes(main, graph)
    places = sorted(lasting(root) & preparer.feeds(root, STEP))
    known = {place: _lasting(main, graph, *signature(graph)[place]) for place in places}
    preparer.prepare(main.frame(graph), STEP, known)
    for item in preparer.kept:
        main.output(item.name, item.value, item.kind)
    main.walker = preparer
    return main.component("decoder_memory"), tuple(preparer.kept)


def _call_axes(main: MainGraph, graph: Graph) -> None:
    memory = dict(signature(graph)).get(MEMORY)
    if memory is not None:
        main.call_axis(memory.shape[1], "encoder_sequence_length")


def _lasting(main: MainGraph, graph: Graph, name: str, kind: TensorType) -> str:
    """An input of the decoder that stays the same from step to step."""
    outer = main.frame(graph).outer(kind)
    return _features(main, outer) if reads_features(graph) == name else main.input(name, outer)


def decoder_components(root: Definition, options: Options) -> list[Component]:
    """The decoder, behind the graph of what it keeps from its first step on, if there is something."""
    if options.flat:
        return [decoder_component(root, options)]
    root = route(keep(root))
    memory = memory_component(root, options)
    if memory is None:
        return [decoder_component(root, options)]
    component, kept = memory
    return [component, decoder_component(root, replace(options, kept=True), kept)]


def decoder_component(root: Definition, options: Options, kept: Sequence[Kept] = ()) -> Component:
    """Embeddings and cache to logits and cache; one graph for prefill and decoding."""
    main = MainGraph(root, options)
    graph = root.methods[STEP]
    _call_axes(main, graph)
    looked_at = main.walker.uses.looks_at(root, STEP)
    given = {
        name: _lasting(main, graph, name, kind) if place in looked_at else None
        for place, (name, kind) in enumerate(signature(graph))
    }
    slots = main.pasts(STEP)
    main.take_kept(kept)
    keep_last = main.input(KEEP, TensorType(DType.INT, ()))
    (hidden,) = main.method(STEP, given)
    last = _keep_last(main, hidden, keep_last)
    ((name, kind),) = signature(root.methods["logits"])
    main.call_axis(kind.shape[1], "num_logits")
    main.scope.measure(last, main.frame(root.methods["logits"]).outer(kind))
    (logits,), ((_, kind),) = main.method("logits", {name: last}), main.results("logits")
    main.output("logits", logits, kind)
    main.presents(slots)
    return main.component("decoder_model_merged", slots)


def _keep_last(main: MainGraph, hidden: str, keep: str) -> str:
    """The last `keep` positions; -0 starts at the front, which keeps all."""
    start = main.node("Neg", main.node("Reshape", keep, main.scope.integers([1])))
    ends, axes = main.scope.integers([LAST]), main.scope.integers([1])
    return main.node("Slice", hidden, start, ends, axes)


def without_keep(decoder: ModelProto) -> ModelProto:
    """The decoder for callers that do not know `num_logits_to_keep`: logits of all positions."""
    model = ModelProto()
    model.CopyFrom(decoder)
    kept = [item for item in model.graph.input if item.name != KEEP]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.append(make_tensor(KEEP, np.zeros((), np.int64), TensorProto.INT64))
    return model


def arrange_component(root: Definition, options: Options) -> Component:
    """What decoding is told of tokens, as it enters the decoder."""
    main = MainGraph(root, options)
    values = main.method("arrange")
    for value, (name, kind) in zip(values, main.results("arrange"), strict=True):
        declare = main.mask if kind.dtype is DType.BOOL else main.output
        declare(name, value, kind)
    return main.component("arrange")


def flow_component(
    root: Definition, method: str, options: Options, ranks: Mapping[str, int] | None = None
) -> Component:
    """Any method as a graph of its own; a plain result is called `result`."""
    main = MainGraph(root, options, ranks)
    slots = main.pasts(method) if options.cached else ()
    values = main.method(method)
    for value, (name, kind) in zip(values, main.results(method), strict=True):
        main.output(name, value, kind)
    main.presents(slots)
    return main.component(method, slots)


def _cache(heads: int, size: int, length: str) -> TensorType:
    axes = (Dim.symbol("batch_size"), Dim.of(heads), Dim.symbol(length), Dim.of(size))
    return TensorType(DType.FLOAT, axes)


def _symbols(axis: Axis) -> frozenset[str]:
    return axis.symbols() if isinstance(axis, Dim) else frozenset()
