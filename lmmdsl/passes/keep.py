"""Keep what stays the same from step to step.

While a decoder answers, some arguments of its steps do not change: what an encoder read of the prompt, features of
images. What a block computes of these alone, such as keys and values of cross attention, becomes a method of its own,
`prepare`, that runs at the first step; a cache keeps its results for the others. Definitions are shared, so each is
rewritten once per set of arguments that stay; blocks with nothing to keep are left as they are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Graph,
    Input,
    Instance,
    Node,
    Once,
    Part,
    Read,
    Repeat,
    Size,
    Stack,
    Value,
)
from lmmdsl.graph.program import Program
from lmmdsl.passes.count import Caches, is_cached
from lmmdsl.passes.edit import reordered, without_idle
from lmmdsl.types.tensor import DType, Rest, TensorType

Places = frozenset[int]  # of arguments
STEP = "decode"  # the method that runs step by step


def keep_program(program: Program) -> Program:
    """The program over definitions that keep what they can."""
    return replace(program, root=keep(program.root))


def keep(root: Definition) -> Definition:
    """The model with a `decode` that keeps what follows from its lasting arguments alone."""
    places = lasting(root)
    return _Keeper().rebuilt(root, {STEP: places}) if places else root


def lasting(root: Definition) -> Places:
    """Arguments of `decode` that stay the same: features or what an encoder read, and masks over their axes."""
    graph = root.methods.get(STEP)
    if graph is None:
        return frozenset()
    ruled = {name for name, _ in _outputs(root, "arrange")}
    kinds = {
        place: graph.type_of(value)
        for place, value in enumerate(graph.inputs)
        if place and graph.name_of(value) not in ruled
    }
    found = {place for place, kind in kinds.items() if kind.dtype is DType.FLOAT}
    axes = _symbols(kinds[place] for place in found)
    masks = {
        place
        for place, kind in kinds.items()
        if kind.dtype is DType.BOOL and _symbols([kind]) <= axes
    }
    return frozenset(found | masks if found else ())


def _outputs(root: Definition, method: str) -> tuple[tuple[str, Value], ...]:
    graph = root.methods.get(method)
    return graph.outputs if graph else ()


def _symbols(kinds: Iterable[TensorType]) -> frozenset[str]:
    """Run-time symbols in the axes of types; an open axis counts as one."""
    axes = [axis for kind in kinds for axis in kind.shape]
    names = [{axis.name} if isinstance(axis, Rest) else axis.symbols() for axis in axes]
    return frozenset().union(*names)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a method can keep.

    Attributes:
        stays: values that stay the same from step to step.
        edge: those that cost something and that the rest of the method, or its caller, reads.
    """

    stays: frozenset[Value]
    edge: tuple[Value, ...]


def find(graph: Graph, places: Places) -> Kept:
    """What a method can keep, if these of its arguments stay the same."""
    given = {graph.inputs[place] for place in places}
    sizes = _symbols(map(graph.type_of, given))
    stays: set[Value] = set()
    costly: set[Value] = set()  # of values that stay: made with parameters from an argument
    fed = set(given)
    for index, node in enumerate(graph.nodes):
        if not _stays(node, Value(index) in given, stays, sizes):
            continue
        made = {Value(index, slot) for slot in range(len(node.types))}
        stays |= made
        sources = {value for value in node.inputs if value is not None}
        if sources & fed:
            fed |= made
            costly |= made if sources & costly or _is_costly(graph, node) else set()
    readers = graph.readers()
    results = {value for _, value in graph.outputs}
    edge = [
        value
        for value in sorted(costly, key=lambda value: (value.node, value.slot))
        if value in results or any(Value(reader) not in stays for reader in readers.get(value, []))
    ]
    return Kept(frozenset(stays), tuple(edge))


def _stays(node: Node, is_given: bool, stays: set[Value], sizes: frozenset[str]) -> bool:
    match node.payload:
        case Input():
            return is_given
        case Constant() | Read():
            return True
        case Size(size=size):
            return size.symbols() <= sizes
    sources = all(value in stays for value in node.inputs if value is not None)
    return sources and _symbols(node.types) <= sizes and not _has_cache(node)


def _has_cache(node: Node) -> bool:
    match node.payload:
        case Call(method=method, definition=callee):
            return bool(Caches().of(callee, method))
        case Repeat(method=method, definitions=layers):
            return any(Caches().of(layer, method) for layer in dict.fromkeys(layers))
    return is_cached(node)


def _is_costly(graph: Graph, node: Node) -> bool:
    """Whether a node multiplies with parameters; what only moves numbers around is as fast as a look into a cache."""
    if isinstance(node.payload, Call | Repeat):
        return True
    sources = (graph.nodes[value.node].payload for value in node.inputs if value is not None)
    return isinstance(node.payload, Apply) and any(isinstance(source, Read) for source in sources)


class _Keeper:
    """Rewrites definitions."""

    def __init__(self) -> None:
        self._made: dict[tuple[Definition, frozenset[tuple[str, Places]]], Definition] = {}

    def rebuilt(self, definition: Definition, staying: Mapping[str, Places]) -> Definition:
        """A definition whose methods keep what follows from these arguments; itself if there is nothing."""
        key = (definition, frozenset(staying.items()))
        if key not in self._made:
            self._made[key] = self._rebuild(definition, staying)
        return self._made[key]

    def _rebuild(self, definition: Definition, staying: Mapping[str, Places]) -> Definition:
        wanted = _wanted(definition, staying)
        parts = {
            name: self._part(part, wanted.get(name, {})) for name, part in definition.parts.items()
        }
        if any(parts[name] is not part for name, part in definition.parts.items()):
            methods = {name: _repointed(graph, parts) for name, graph in definition.methods.items()}
            definition = replace(definition, parts=parts, methods=methods)
        for method, places in staying.items():
            definition = _prepared(definition, method, places)
        return definition

    def _part(self, part: Part, wanted: Mapping[str, Places]) -> Part:
        match part:
            case Instance(definition=inner) if wanted:
                made = self.rebuilt(inner, wanted)
                return part if made is inner else replace(part, definition=made)
            case Stack(definitions=layers) if wanted:
                renewed = tuple(self.rebuilt(layer, wanted) for layer in layers)
                return part if renewed == layers else replace(part, definitions=renewed)
        return part


def _wanted(definition: Definition, staying: Mapping[str, Places]) -> dict[str, dict[str, Places]]:
    """By part and method: arguments that stay the same in every call that still has something to do at each step.

    Parts of parts that are called from here stay as they are, and so do their owners.
    """
    found: dict[str, dict[str, Places]] = {}
    reached: set[str] = set()
    for name, graph in definition.methods.items():
        stays = find(graph, staying.get(name, frozenset())).stays
        for index, node in enumerate(graph.nodes):
            if not isinstance(node.payload, Call | Repeat):
                continue
            part, _, rest = node.payload.part.partition(".")
            if rest:
                reached.add(part)
            is_whole = Value(index) in stays  # one of those that run once
            same = {p for p, value in enumerate(node.inputs) if value in stays and not is_whole}
            calls = found.setdefault(part, {})
            calls[node.payload.method] = calls.get(node.payload.method, frozenset(same)) & same
    return {
        part: {method: places for method, places in calls.items() if places}
        for part, calls in found.items()
        if part not in reached
    }


def _repointed(graph: Graph, parts: Mapping[str, Part]) -> Graph:
    return replace(graph, nodes=tuple(_repointed_node(node, parts) for node in graph.nodes))


def _repointed_node(node: Node, parts: Mapping[str, Part]) -> Node:
    match node.payload:
        case Call(part=name) as call:
            part = parts.get(name)
            if isinstance(part, Instance):
                return replace(node, payload=replace(call, definition=part.definition))
        case Repeat(part=name, definitions=layers) as repeat:
            part = parts.get(name)
            if isinstance(part, Stack):
                renewed = part.definitions[: len(layers)]
                return replace(node, payload=replace(repeat, definitions=renewed))
    return node


def _prepared(definition: Definition, method: str, places: Places) -> Definition:
    """The definition with what one of its methods can keep moved into a method of its own."""
    graph = _inputs_first(definition.methods[method])
    kept = find(graph, places)
    if not kept.edge:
        return definition
    name = _free_name(definition)
    alone = _only(graph, kept.edge)
    methods = {
        key: _with_once(graph, kept, alone, name) if key == method else other
        for key, other in definition.methods.items()
    }
    methods = {name: alone} | methods  # what runs first stands first
    return replace(definition, methods=methods)


def _free_name(definition: Definition) -> str:
    name = "prepare"
    while name in definition.methods or name in definition.declared | definition.parts.keys():
        name += "_"
    return name


def _only(graph: Graph, results: tuple[Value, ...]) -> Graph:
    """The part of a method that makes some of its values; the arguments are those that it needs."""
    plain = len(results) == 1
    return without_idle(
        replace(
            graph,
            outputs=tuple(
                ("result" if plain else f"result.{slot}", value)
                for slot, value in enumerate(results)
            ),
            doc="",
        ),
        all_inputs=False,
    )


def _with_once(graph: Graph, kept: Kept, alone: Graph, name: str) -> Graph:
    """A method that takes what is kept from the cache."""
    arguments = {graph.name_of(value): value for value in graph.inputs}
    first = kept.edge[0].node
    once = Node(
        Once(name),
        tuple(arguments[alone.name_of(value)] for value in alone.inputs),
        tuple(map(graph.type_of, kept.edge)),
        graph.nodes[first].span,
        tuple(map(graph.name_of, kept.edge)),
    )
    # The new node stands where the first kept value was made: what is behind it moves by one.
    shifted = {value: Value(first, slot) for slot, value in enumerate(kept.edge)}

    def moved(value: Value) -> Value:
        behind = Value(value.node + (value.node >= first), value.slot)
        return shifted.get(value, behind)

    nodes = [
        replace(node, inputs=tuple(moved(v) if v else None for v in node.inputs))
        for node in graph.nodes
    ]
    inputs = tuple(moved(v) if v else None for v in once.inputs)
    nodes.insert(first, replace(once, inputs=inputs))
    outputs = tuple((output, moved(value)) for output, value in graph.outputs)
    inputs_ = tuple(map(moved, graph.inputs))
    return without_idle(replace(graph, nodes=tuple(nodes), inputs=inputs_, outputs=outputs))


def _inputs_first(graph: Graph) -> Graph:
    """The method with its arguments in front of all steps, so that any step may come early."""
    ends = sorted(
        range(len(graph.nodes)), key=lambda i: not isinstance(graph.nodes[i].payload, Input)
    )
    return reordered(graph, ends)
