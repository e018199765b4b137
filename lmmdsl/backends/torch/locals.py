"""Local variables of an emitted method: which values get one, and what it is called.

A value that the spec names, or that is read more than once, has a variable; any other is written
inside the expression that reads it. A name is free again when the last reader of its value is done.
"""

from lmmdsl.backends.torch.names import NOUNS, safe
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Graph,
    Input,
    Node,
    Read,
    Repeat,
    Size,
    Value,
)


class Locals:
    """The variables of one method while it is written."""

    def __init__(
        self, graph: Graph, reserved: frozenset[str], epilogue: tuple[str, ...] = ()
    ) -> None:
        """Plan a method.

        Args:
            graph: the method.
            reserved: names that no variable may hide.
            epilogue: statements between the last value and the return.
        """
        self.graph = graph
        self.reserved = reserved
        self.epilogue = epilogue
        self.readers = graph.readers()
        self.results = [value for _, value in graph.outputs]
        self.pinned: dict[str, Value] = {}  # values that expressions name, by what needs them
        self.needed: dict[Value, int] = {}  # the last statement that names such a value
        self.bound: dict[Value, str] = {}
        self.holder: dict[str, Value] = {}

    def forget(self) -> None:
        """Start the method anew; what is pinned stays so."""
        self.bound, self.holder = {}, {}

    # ---- what becomes a statement ----------------------------------------------------------------

    def host(self, index: int) -> int:
        """The node in whose statement a node is written: itself, or a reader of its value."""
        node = self.graph.nodes[index]
        if isinstance(node.payload, Input) or not self.is_inlined(index):
            return index
        readers = self.readers.get(Value(index), [])
        return max(map(self.host, readers), default=len(self.graph.nodes))

    def is_inlined(self, index: int) -> bool:
        """Whether a node is written inside its reader."""
        node = self.graph.nodes[index]
        match node.payload:
            case Constant() | Size() | Read():
                return True
            case Input() | Repeat():
                return False
        value = Value(index)
        readers = self.readers.get(value, [])
        is_last = self.results == [value] and not readers and not self.epilogue
        named = any(node.names) and not is_last
        if len(node.types) != 1 or named or value in self.pinned.values():
            return False
        reads = sum(self.graph.nodes[r].inputs.count(value) for r in readers) + self.results.count(
            value
        )
        return reads == 1 and not any(self._loops_over(self.graph.nodes[r], value) for r in readers)

    def _loops_over(self, node: Node, value: Value) -> bool:
        """Whether a stack reads a value in every layer."""
        return isinstance(node.payload, Repeat) and value in node.inputs[1:]

    def last_read(self, value: Value) -> int:
        """Position of the last statement that reads a value, or asks it for a size."""
        reads = [self.host(reader) for reader in self.readers.get(value, [])]
        end = len(self.graph.nodes) if value in self.results else -1
        return max([*reads, end, self.needed.get(value, -1)])

    # ---- names -----------------------------------------------------------------------------------

    def name(
        self, value: Value, position: int, wanted: str = "", keep: tuple[Value | None, ...] = ()
    ) -> str:
        """Bind a value to a local name that no living value, and none of `keep`, has."""
        node = self.graph.nodes[value.node]
        stem = wanted or self.graph.name_of(value) or noun(node)
        name, number = safe(stem, self.reserved), 2
        while name in self.holder and (
            self.last_read(self.holder[name]) > position or self.holder[name] in keep
        ):
            name, number = safe(f"{stem}_{number}", self.reserved), number + 1
        self.holder[name] = value
        self.bound[value] = name
        return name


def noun(node: Node) -> str:
    """A word for a value that the spec does not name."""
    match node.payload:
        case Apply(op=op):
            return NOUNS.get(op.name, f"{op.name}_result")
        case Call(part=part, method=method):
            step = part.rpartition(".")[2]
            return (
                f"{step}_{method}" if method != "forward" else step if not step.isdigit() else "y"
            )
    return "x"
