"""Builds one dataflow graph while a method is elaborated."""

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Call, Constant, Graph, Input, Node, Payload, Read, Repeat, Size, Value
from lmmdsl.sema.values import Tensor
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, TensorType

ROWS = 3  # axes of rows of features: images, rows, width


class GraphBuilder:
    """Collects nodes in source order; numbers, sizes and parameter reads are made once each."""

    def __init__(self) -> None:
        self.nodes: list[
            tuple[Payload, tuple[Value | None, ...], tuple[TensorType, ...], Span]
        ] = []
        self.inputs: list[Value] = []
        self.names: dict[Value, str] = {}
        self._made: dict[object, Tensor] = {}

    def input(self, name: str, kind: TensorType, span: Span) -> Tensor:
        """Add an argument of the method."""
        (tensor,) = self.add(Input(name), (), (kind,), span)
        self.inputs.append(tensor.value)
        self.names[tensor.value] = name
        return tensor

    def outside(self, name: str, kind: TensorType, span: Span) -> Tensor:
        """An argument that callers hand down from the model; it is made once."""
        tensor = self._once(("outside", name), Input(name, outside=True), kind, span)
        if tensor.value not in self.inputs:
            self.inputs.append(tensor.value)
            self.names[tensor.value] = name
        return tensor

    def constant(self, value: int | float | bool, span: Span) -> Tensor:
        """A number as a rank-0 tensor."""
        kinds = {bool: DType.BOOL, int: DType.INT, float: DType.FLOAT}
        kind = TensorType(kinds[type(value)], ())
        return self._once((type(value), value), Constant(value), kind, span)

    def size(self, size: Dim, span: Span) -> Tensor:
        """An axis size as a rank-0 integer tensor."""
        if size.is_const:
            return self.constant(size.value, span)
        return self._once(size, Size(size), TensorType(DType.INT, ()), span)

    def read(self, path: str, kind: TensorType, span: Span) -> Tensor:
        """A parameter."""
        return self._once(path, Read(path), kind, span)

    def _once(self, key: object, payload: Payload, kind: TensorType, span: Span) -> Tensor:
        if key not in self._made:
            (self._made[key],) = self.add(payload, (), (kind,), span)
        return self._made[key]

    def add(
        self,
        payload: Payload,
        inputs: tuple[Value | None, ...],
        types: tuple[TensorType, ...],
        span: Span,
    ) -> tuple[Tensor, ...]:
        """Add a node; gives its outputs."""
        index = len(self.nodes)
        self.nodes.append((payload, inputs, types, span))
        return tuple(Tensor(Value(index, slot), kind) for slot, kind in enumerate(types))

    def rows(self) -> list[tuple[str, TensorType]]:
        """Named values that hold rows of features, in source order."""
        named = ((n, self.nodes[v.node][2][v.slot]) for v, n in self.names.items())
        return [(n, k) for n, k in named if k.dtype is DType.FLOAT and len(k.shape) == ROWS]

    def parts_behind(self, value: Value) -> set[str]:
        """Top-level parts that a value comes from."""
        found: set[str] = set()
        waiting, seen = [value.node], set[int]()
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            payload, inputs, *_ = self.nodes[place]
            waiting += [source.node for source in inputs if source]
            if isinstance(payload, Call | Repeat):
                found.add(payload.part.partition(".")[0])
        return found

    def finish(self, outputs: tuple[tuple[str, Value], ...], span: Span, doc: str = "") -> Graph:
        """The graph with the given outputs."""
        nodes = []
        for index, (payload, inputs, types, at) in enumerate(self.nodes):
            names = tuple(self.names.get(Value(index, slot), "") for slot in range(len(types)))
            nodes.append(Node(payload, inputs, types, at, names if any(names) else ()))
        return Graph(tuple(nodes), tuple(self.inputs), outputs, span, doc)
