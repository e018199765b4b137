"""Fuse parallel linear layers: those of one block that read the same value become one layer and a split.

Queries, keys and values of an attention, gate and up of a gated feed-forward: one large product
instead of several small ones. The parameter of a fused layer says which parameters it `packs`, row
after row, so weight maps and checkpoints stay as they are. Definitions are shared, so each is
rewritten once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lmmdsl.dims.expr import ZERO, Dim
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Definition,
    Graph,
    Input,
    Instance,
    Node,
    Param,
    Part,
    Read,
    Value,
    distinct,
)
from lmmdsl.graph.program import Program
from lmmdsl.ops.join import Split
from lmmdsl.passes.edit import Made, rebuilt
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Group:
    """Parts of one definition that a method applies to the same value, and the calls that do."""

    name: str
    method: str
    calls: tuple[int, ...]
    parts: tuple[Instance, ...]

    @property
    def sizes(self) -> tuple[Dim, ...]:
        """Rows of each part."""
        return tuple(_weight(part.definition).shape[0] for part in self.parts)


def fuse_program(program: Program) -> Program:
    """The program over fused definitions. Parts that a stage trains by themselves stay apart."""
    named = {path for stage in program.stages for path in stage.train}
    adapted = {path for stage in program.stages for rule in stage.lora for path in rule.paths}
    return replace(program, root=fuse(program.root, apart=named | adapted))


def fuse(root: Definition, *, apart: Iterable[str] = ()) -> Definition:
    """The definition with parallel linear layers fused, everywhere below it.

    Args:
        root: the definition.
        apart: paths of parts that must stay as they are.
    """
    items = distinct(root)
    kept = {path.rpartition(".")[2] for path in apart} | _reached_names(items)
    made: dict[Definition, Definition] = {}
    for item in items:
        made[item] = _rebuild(item, made, kept)
    return made[root]


def packed_paths(root: Definition) -> dict[str, tuple[str, ...]]:
    """For each packed parameter of a fused tree, the paths of the parameters whose rows it holds."""
    found: dict[str, tuple[str, ...]] = {}
    for path, param in root.params():
        if param.packs:
            owner = path.split(".")[:-2]
            found[path] = tuple(".".join([*owner, name]) for name in param.packs)
    return found


def _reached_names(items: Iterable[Definition]) -> set[str]:
    """Names of parts that are called, or whose parameters are read, from outside of their block."""
    found: set[str] = set()
    for item in items:
        for graph in item.methods.values():
            for payload in (node.payload for node in graph.nodes):
                if isinstance(payload, Read):
                    found |= set(payload.path.split(".")[:-1])
                elif isinstance(payload, Call):
                    found |= set(payload.part.split(".")[1:])
    return found


# ---- finding -------------------------------------------------------------------------------------


def _groups(definition: Definition, kept: set[str]) -> list[Group]:
    uses = _uses(definition)
    found: dict[tuple[str, Value, bool], list[int]] = {}
    for method, graph in definition.methods.items():
        for index, node in enumerate(graph.nodes):
            part = _linear_part(definition, node)
            first = node.inputs[0] if node.inputs else None
            if part and first and uses[part.name] == 1 and part.name not in kept:
                biased = "bias" in part.definition.parts
                found.setdefault((method, first, biased), []).append(index)
    return [
        _group(definition, method, tuple(calls))
        for (method, _, _), calls in found.items()
        if len(calls) > 1
    ]


def _uses(definition: Definition) -> dict[str, int]:
    """How often each part is called or read, by any method."""
    counts = dict.fromkeys(definition.parts, 0)
    for graph in definition.methods.values():
        for node in graph.nodes:
            path = getattr(node.payload, "part", getattr(node.payload, "path", ""))
            if path:
                counts[path.partition(".")[0]] += 1
    return counts


def _linear_part(definition: Definition, node: Node) -> Instance | None:
    if not isinstance(node.payload, Call) or node.payload.method != "forward":
        return None
    part = definition.parts.get(node.payload.part)
    return part if isinstance(part, Instance) and is_linear(part.definition) else None


def is_linear(definition: Definition) -> bool:
    """Whether a block is nothing but an affine map with its own weight, and bias if it has one."""
    params = [part for part in definition.parts.values() if isinstance(part, Param)]
    if len(params) != len(definition.parts) or list(definition.methods) != ["forward"]:
        return False
    graph = definition.methods["forward"]
    steps = [node for node in graph.nodes if not isinstance(node.payload, Input | Read)]
    is_plain = len(steps) == 1 and isinstance(steps[0].payload, Apply)
    if not is_plain or not all(param.trained for param in params):
        return False
    names = [_read(graph, value) for value in steps[0].inputs[1:] if value]
    only = steps[0].payload
    return isinstance(only, Apply) and only.op.name == "linear" and names == list(definition.parts)


def _read(graph: Graph, value: Value) -> str:
    payload = graph.nodes[value.node].payload
    return payload.path if isinstance(payload, Read) else ""


def _group(definition: Definition, method: str, calls: tuple[int, ...]) -> Group:
    nodes = [definition.methods[method].nodes[call] for call in calls]
    parts = [part for node in nodes if (part := _linear_part(definition, node))]
    names = [part.name for part in parts]
    name = "".join(names) if all(len(n) == 1 for n in names) else "_".join(names)
    while name in definition.parts or name in definition.methods:
        name += "_"
    return Group(name, method, calls, tuple(parts))


def _weight(definition: Definition) -> Param:
    part = definition.parts["weight"]
    assert isinstance(part, Param)
    return part


# ---- rewriting -----------------------------------------------------------------------------------


def _rebuild(definition: Definition, made: Made, kept: set[str]) -> Definition:
    renewed = rebuilt(definition, made)
    for group in _groups(renewed, kept):
        renewed = _fused(renewed, group)
    return renewed


def _fused(definition: Definition, group: Group) -> Definition:
    """The definition with one group fused; the fused part stands where the first of them stood."""
    whole = Instance(group.name, _packed(group), group.parts[0].span)
    parts: dict[str, Part] = {}
    for name, part in definition.parts.items():
        if part is group.parts[0]:
            parts[whole.name] = whole
        elif part not in group.parts:
            parts[name] = part
    graph = _rewired(definition.methods[group.method], group, whole)
    return replace(definition, parts=parts, methods={**definition.methods, group.method: graph})


def _packed(group: Group) -> Definition:
    """The linear layer that holds the rows of all parts."""
    first = group.parts[0].definition
    rows = sum(group.sizes, ZERO)
    params = {
        name: replace(
            param,
            shape=(rows, *param.shape[1:]),
            packs=tuple(f"{part.name}.{name}" for part in group.parts),
        )
        for name, param in first.parts.items()
        if isinstance(param, Param)
    }
    graph = first.methods["forward"]
    nodes = tuple(
        replace(node, types=tuple(_taller(kind, graph, node, rows) for kind in node.types))
        for node in graph.nodes
    )
    binding = {**first.binding, "out": rows}
    methods = {"forward": replace(graph, nodes=nodes)}
    return replace(first, binding=binding, parts=params, methods=methods)


def _taller(kind: TensorType, graph: Graph, node: Node, rows: Dim) -> TensorType:
    match node.payload:
        case Read():
            return replace(kind, shape=(rows, *kind.shape[1:]))
        case Apply():
            return replace(kind, shape=(*kind.shape[:-1], rows))
    return kind


def _rewired(graph: Graph, group: Group, whole: Instance) -> Graph:
    """The graph with the calls of a group replaced by one call and a split."""
    rows = sum(group.sizes, ZERO)
    moved: dict[Value, Value] = {}
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        if index == group.calls[0]:
            nodes += _call_and_split(graph, group, whole, rows, moved, len(nodes))
        if index in group.calls:
            continue
        inputs = tuple(moved[value] if value else None for value in node.inputs)
        for slot in range(len(node.types)):
            moved[Value(index, slot)] = Value(len(nodes), slot)
        nodes.append(replace(node, inputs=inputs))
    return replace(
        graph,
        nodes=tuple(nodes),
        inputs=tuple(moved[value] for value in graph.inputs),
        outputs=tuple((name, moved[value]) for name, value in graph.outputs),
    )


def _call_and_split(
    graph: Graph, group: Group, whole: Instance, rows: Dim, moved: dict[Value, Value], at: int
) -> list[Node]:
    olds = [graph.nodes[call] for call in group.calls]
    source = olds[0].inputs[0]
    assert source is not None
    kinds = tuple(old.types[0] for old in olds)
    joint = replace(kinds[0], shape=(*kinds[0].shape[:-1], rows))
    call = Call(whole.name, "forward", whole.definition)
    names = tuple(
        old.names[0] if old.names else part.name
        for old, part in zip(olds, group.parts, strict=True)
    )
    for slot, index in enumerate(group.calls):
        moved[Value(index)] = Value(at + 1, slot)
    split = Apply(Split(parts=group.sizes))
    return [
        Node(call, (moved[source],), (joint,), olds[0].span),
        Node(split, (Value(at),), kinds, olds[0].span, names),
    ]
