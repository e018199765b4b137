"""Leave out optional arguments that nobody gives or nobody reads.

A library block serves many models: attention takes a mask for those who have one. In a model that never gives it, the
argument of that block goes, and so does what only handed it on. Layers of one stack keep the same arguments, and the
model's own methods keep theirs. Definitions are shared, so each is rewritten once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lmmdsl.graph.ir import (
    Apply,
    Call,
    Definition,
    Graph,
    Node,
    Once,
    Repeat,
    Route,
    Value,
    distinct,
)
from lmmdsl.graph.program import Program
from lmmdsl.passes.edit import Made, rebuilt, without_idle
from lmmdsl.types.tensor import Rest, TensorType

Method = tuple[Definition, str]
Places = frozenset[int]  # of arguments


def narrow_program(program: Program) -> Program:
    """The program over definitions whose methods take only what they are given and read."""
    return replace(program, root=narrow(program.root))


def narrow(root: Definition) -> Definition:
    """The definition over such parts; itself if there is nothing to leave out."""
    idle = _Idle(root)
    made: dict[Definition, Definition] = {}
    for item in distinct(root):
        made[item] = _narrowed(item, idle, made)
    return made[root]


class _Idle:
    """Which arguments of which methods can go."""

    def __init__(self, root: Definition) -> None:
        self._given: dict[Method, set[int]] = {}
        self._mates: dict[Method, set[Method]] = {}
        self._fixed: set[Method] = {(root, name) for name in root.methods}
        self._known: dict[Method, Places] = {}
        items = tuple(reversed(distinct(root)))  # callers first
        for item in items:
            for node in (node for graph in item.methods.values() for node in graph.nodes):
                self._bind(item, node)
        for item in items:
            for name, graph in item.methods.items():
                self._look_at(item, name, graph)

    def places(self, method: Method) -> Places:
        """Arguments of a method that can go: those that can go in all layers of its stacks."""
        if method not in self._known:
            mates = self._all_mates(method)
            common = frozenset.intersection(*map(self._own, mates))
            self._known |= dict.fromkeys(mates, common)
        return self._known[method]

    def _bind(self, item: Definition, node: Node) -> None:
        """Note which methods keep their arguments, and which keep the same ones."""
        match node.payload:
            case Repeat(method=method, definitions=layers):
                mates = {(layer, method) for layer in layers}
                for mate in mates:
                    self._mates.setdefault(mate, set()).update(mates)
            case Once(method=method):
                self._fixed.add((item, method))
            case Route(one=one, other=other):
                self._fixed |= {(call.definition, call.method) for call in (one, other)}

    def _look_at(self, item: Definition, name: str, graph: Graph) -> None:
        """Note what the calls of a method give."""
        missing = self._missing((item, name))
        for node in graph.nodes:
            given = {
                place
                for place, value in enumerate(node.inputs)
                if value is not None and value not in missing
            }
            for called in _called(node):
                self._given.setdefault(called, set()).update(given)

    def _is_fixed(self, method: Method) -> bool:
        return method in self._fixed or method not in self._given  # the model's own, or nobody's

    def _missing(self, method: Method) -> set[Value]:
        """Arguments that no caller gives."""
        definition, name = method
        if self._is_fixed(method):
            return set()
        inputs = enumerate(definition.methods[name].inputs)
        return {value for place, value in inputs if place not in self._given[method]}

    def _all_mates(self, method: Method) -> set[Method]:
        """Methods that share a stack with this one, and those that share one with them."""
        found, waiting = {method}, [method]
        while waiting:
            new = self._mates.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    def _own(self, method: Method) -> Places:
        """Arguments that can go as far as this method itself is concerned."""
        definition, name = method
        if self._is_fixed(method):
            return frozenset()
        graph, missing = definition.methods[name], self._missing(method)
        kinds = [graph.type_of(value) for value in graph.inputs]
        told = _symbols(kind for kind in kinds if not kind.optional)
        return frozenset(
            place
            for place, (value, kind) in enumerate(zip(graph.inputs, kinds, strict=True))
            if kind.optional
            and _symbols([kind]) <= told
            and all(value in missing and takes_none for takes_none in self._reads(graph, value))
        )

    def _reads(self, graph: Graph, value: Value) -> Iterator[bool]:
        """For every place that reads an argument: whether it may be left out there."""
        yield from (False for _, output in graph.outputs if output == value)
        for node in graph.nodes:
            for place, source in enumerate(node.inputs):
                if source == value and not self._is_idle(node, place):
                    yield _may_lack(node, place)

    def _is_idle(self, node: Node, place: int) -> bool:
        return any(place in self.places(called) for called in _called(node))


def _called(node: Node) -> tuple[Method, ...]:
    """Methods of parts that a step calls with its operands."""
    match node.payload:
        case Call(method=method, definition=callee):
            return ((callee, method),)
        case Repeat(method=method, definitions=layers):
            return tuple((layer, method) for layer in dict.fromkeys(layers))
    return ()


def _may_lack(node: Node, place: int) -> bool:
    """Whether a step works without one of its operands."""
    match node.payload:
        case Apply(op=op):
            names = op.operands()
            return place < len(names) and op.is_optional(names[place])
        case Call() | Repeat():
            return True  # only an optional argument takes an optional value
    return False


def _symbols(kinds: Iterable[TensorType]) -> frozenset[str]:
    axes = [axis for kind in kinds for axis in kind.shape]
    names = [{axis.name} if isinstance(axis, Rest) else axis.symbols() for axis in axes]
    return frozenset().union(*names)


def _narrowed(definition: Definition, idle: _Idle, made: Made) -> Definition:
    methods = {
        name: _without(graph, idle.places((definition, name)), idle)
        for name, graph in definition.methods.items()
    }
    if any(methods[name] is not graph for name, graph in definition.methods.items()):
        definition = replace(definition, methods=methods)
    return rebuilt(definition, made)


def _without(graph: Graph, places: Places, idle: _Idle) -> Graph:
    """A method without some of its arguments, whose calls leave out what the methods of parts no longer take."""
    gone = {graph.inputs[place] for place in places}
    nodes = tuple(_fewer(node, gone, idle) for node in graph.nodes)
    if not gone and all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    inputs = tuple(value for value in graph.inputs if value not in gone)
    return without_idle(replace(graph, nodes=nodes, inputs=inputs))


def _fewer(node: Node, gone: set[Value], idle: _Idle) -> Node:
    called = _called(node)
    left_out = idle.places(called[0]) if called else frozenset()
    inputs = tuple(
        None if value in gone else value
        for place, value in enumerate(node.inputs)
        if place not in left_out
    )
    return node if inputs == node.inputs else replace(node, inputs=inputs)
