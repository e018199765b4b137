"""Levels `part` and `block`: the dataflow of one definition.

Level `part` opens the parts and stacks one level deep, each in a frame, but for very long ones; level `block` shows
every operation of the definition itself and keeps its parts closed.
"""

from dataclasses import dataclass, field, replace

from lmmdsl.backends.dot.figure import Arrow, Box, Figure, Frame
from lmmdsl.backends.dot.inside import unwrapped, which
from lmmdsl.backends.dot.signs import TIMES
from lmmdsl.backends.dot.words import operation, sizes_of
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Node,
    Param,
    Read,
    Repeat,
    Size,
    Value,
)
from lmmdsl.passes.count import Parameters, is_cached
from lmmdsl.sema.unify import Matched, match_arguments
from lmmdsl.text.amount import short
from lmmdsl.types.tensor import TensorType


def draw_flow(definition: Definition, title: str, *, tone: str, depth: int) -> Figure:
    """Draw the methods of a definition, side by side.

    Args:
        definition: of the used tree.
        title: of the picture.
        tone: of its parts.
        depth: how many levels of parts to open: 1, or 0 for none.
    """
    flow = _Flow(Parameters(definition), tone, depth)
    for name, graph in definition.methods.items():
        flow.method(name, graph)
    parameters = f"{short(flow.counts.of(definition).total)} parameters"
    return Figure(
        title=title,
        subtitle=parameters if title == definition.block else f"{definition.block}, {parameters}",
        items=tuple(flow.items),
        arrows=tuple(flow.arrows),
        frames=tuple(flow.frames),
        name=definition.block,
    )


CACHED = "key/value cache"
MOST_STEPS = 40  # of a part inside another: what is longer stays closed


@dataclass
class _Flow:
    """The picture while it grows."""

    counts: Parameters
    tone: str
    depth: int
    items: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)

    def method(self, name: str, graph: Graph) -> None:
        """Draw one method with boxes for what goes in and comes out."""
        body = _Body(self, graph, f"{name}.", Matched())
        read = {*graph.readers(), *(value for _, value in graph.outputs)}
        for value in (value for value in graph.inputs if value in read):
            self.items.append(_input(f"{name}.{value.node}", graph, value))
            body.ids[value] = f"{name}.{value.node}"
        body.draw()
        for output, value in graph.outputs:
            target = f"{name}.{output}.out"
            shown = output if output != "result" else name if name != "forward" else "result"
            kind = str(graph.type_of(value))
            self.items.append(Box(target, "data", shown, kind, tone="data"))
            self.arrows.append(Arrow(body.ids[value], target))


def _input(name: str, graph: Graph, value: Value) -> Box:
    payload = graph.nodes[value.node].payload
    title = payload.name if isinstance(payload, Input) else ""
    return Box(name, "data", title, str(graph.type_of(value)), tone="data")


@dataclass
class _Body:
    """One graph inside the picture; `sizes` gives its sizes in the symbols of the outermost one."""

    flow: _Flow
    graph: Graph
    prefix: str
    sizes: Matched
    ids: dict[Value, str] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)
    labelled: set[Value] = field(default_factory=set)

    def draw(self) -> None:
        """Draw every node that is not an input."""
        for index, node in enumerate(self.graph.nodes):
            if not isinstance(node.payload, Input):
                self._node(index, node)

    def _node(self, index: int, node: Node) -> None:
        name = f"{self.prefix}{index}"
        inner = self._inner(node)
        if inner is not None and len(inner[1].nodes) <= MOST_STEPS:
            self._open(index, node, *inner)
            return
        self._add(self._box(name, node))
        for slot in range(len(node.types)):
            self.ids[Value(index, slot)] = name
        for value in dict.fromkeys(node.inputs):
            if value is not None and value in self.ids:
                self._connect(value, name)

    def _add(self, box: Box) -> None:
        self.flow.items.append(box)
        self.drawn.append(box.id)

    def _connect(self, value: Value, target: str) -> None:
        is_new = value not in self.labelled and self._is_new_shape(value)
        self.labelled.add(value)
        kind = self._type(value)
        self.flow.arrows.append(Arrow(self.ids[value], target, ("", str(kind)) if is_new else ()))

    def _is_new_shape(self, value: Value) -> bool:
        """Whether the shape differs from those it comes from, so that it is worth telling."""
        node = self.graph.nodes[value.node]
        if isinstance(node.payload, Input | Read | Constant | Size):
            return False
        sources = [source for source in node.inputs if source]
        return all(self._type(source).shape != self._type(value).shape for source in sources)

    def _type(self, value: Value) -> TensorType:
        return _sized(self.graph.type_of(value), self.sizes)

    # ---- boxes ----

    def _box(self, name: str, node: Node) -> Box:
        match node.payload:
            case Read(path):
                return Box(name, "data", path, str(node.types[0]), tone="parameter")
            case Constant(value):
                return Box(name, "op", str(value), tone="data")
            case Size(size):
                return Box(name, "op", str(size), "size", tone="data")
            case Call(part, method, definition):
                title = part if method == "forward" else f"{part}.{method}"
                return self._part(name, title, definition)
            case Repeat(part, _, layers):
                blocks = " | ".join(dict.fromkeys(unwrapped(layer).block for layer in layers))
                amount = sum(self.flow.counts.of(layer).total for layer in layers)
                title = f"{len(layers)} {TIMES} {blocks}"
                return Box(name, "card", title, part, short(amount), tone=self.flow.tone)
            case _:
                title, settings = operation(node)
                lines = [line for line in (settings, CACHED if is_cached(node) else "") if line]
                return Box(name, "op", title, "\n".join(lines), tone="op")

    def _part(self, name: str, title: str, definition: Definition) -> Box:
        amount = self.flow.counts.of(definition).total
        value = short(amount) if amount else ""
        return Box(name, "card", title, sizes_of(definition), value, tone=self.flow.tone)

    # ---- frames ----

    def _inner(self, node: Node) -> tuple[Box, Graph] | None:
        """Head and graph of a part that is to be opened; the head still lacks its name."""
        if self.prefix.count(".") > self.flow.depth:
            return None
        match node.payload:
            case Call(part, method, definition) if not is_leaf(definition):
                amount = short(self.flow.counts.of(definition).total)
                head = Box("", "head", part, f"{definition.block}, {amount}", tone=self.flow.tone)
                return head, definition.methods[method]
            case Repeat(part, method, layers):
                largest = max(layers, key=lambda layer: self.flow.counts.of(layer).total)
                title = f"{len(layers)} {TIMES} {unwrapped(largest).block}"
                each = short(self.flow.counts.of(largest).total)
                others = _others(largest, layers)
                about = f"{others}\n{each} of these" if others else f"{each} each"
                head = Box("", "head", title, about, tone=self.flow.tone)
                return head, largest.methods[method]
            case _:
                return None

    def _open(self, index: int, node: Node, head: Box, graph: Graph) -> None:
        name = f"{self.prefix}{index}"
        declared = [graph.type_of(value) for value in graph.inputs]
        found = [self._type(value) if value else None for value in node.inputs]
        body = _Body(self.flow, graph, f"{name}.", match_arguments(declared, found))
        for inner, outer in zip(graph.inputs, node.inputs, strict=True):
            if outer is not None:
                body.ids[inner] = self.ids[outer]
        body.enter(replace(head, id=f"{name}.in"))
        body.draw()
        self.flow.frames.append(Frame(name, head.title, tuple(body.drawn), self.flow.tone))
        for slot in range(len(node.types)):
            outputs = graph.outputs[slot if isinstance(node.payload, Call) else 0]
            self.ids[Value(index, slot)] = body.ids[outputs[1]]

    def enter(self, head: Box) -> None:
        """Take the first argument through a head inside the frame, so that no branch crosses the outline."""
        self._add(head)
        first = self.graph.inputs[0] if self.graph.inputs else None
        if first is not None and first in self.ids:
            self.flow.arrows.append(Arrow(self.ids[first], head.id))
            self.ids[first] = head.id


def _others(shown: Definition, layers: tuple[Definition, ...]) -> str:
    """How the layers of a stack differ from the one that is drawn."""
    places = tuple(place for place, layer in enumerate(layers) if layer is shown)
    if len(places) == len(layers):
        return ""
    common = set.intersection(*(set(layer.parts) | set(unwrapped(layer).parts) for layer in layers))
    own = ", ".join(name for name in shown.parts if name not in common and name != shown.wraps)
    return f"{own} {which(places)}" if own else f"drawn: {which(places)}"


def _sized(kind: TensorType, sizes: Matched) -> TensorType:
    return sizes.result(kind) if sizes.sizes or sizes.rests else kind


def is_leaf(definition: Definition) -> bool:
    """Whether a block is one operation on its own parameters, such as a linear layer."""
    graph = definition.methods.get("forward")
    has_params = all(isinstance(part, Param) for part in definition.parts.values())
    return (
        has_params
        and graph is not None
        and sum(isinstance(n.payload, Apply) for n in graph.nodes) == 1
    )
