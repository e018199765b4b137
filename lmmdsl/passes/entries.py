"""Entries of the cache along the instance tree: which attentions a step reaches, and whether it reaches one twice."""

from dataclasses import dataclass, field

from lmmdsl.graph.ir import Call, Definition, Graph, Node, Repeat
from lmmdsl.passes.count import is_cached

Entries = frozenset[str]  # of cached attentions: path, method and place


def reached_twice(root: Definition, method: str) -> Node | None:
    """A step that reaches a cached attention which an earlier step of the same call has reached, in the block's text.

    Its keys would take the place of those of the first.
    """
    return _Reach().second(root, method)


@dataclass
class _Reach:
    """What methods reach, each distinct one looked at once."""

    _known: dict[tuple[Definition, str], Entries] = field(default_factory=dict)

    def second(self, definition: Definition, method: str) -> Node | None:
        """The first step that comes back to an entry, in this method or in one that it calls."""
        seen: set[str] = set()
        for place, node in enumerate(definition.methods[method].nodes):
            entries = self._of(node, method, place)
            if entries & seen:
                return node
            seen |= entries
            for callee, called in _called(node):
                found = self.second(callee, called) if entries else None
                if found:
                    return found
        return None

    def _all(self, definition: Definition, method: str) -> Entries:
        key = (definition, method)
        if key not in self._known:
            graph: Graph = definition.methods[method]
            found = (self._of(node, method, place) for place, node in enumerate(graph.nodes))
            self._known[key] = frozenset().union(*found)
        return self._known[key]

    def _of(self, node: Node, method: str, place: int) -> Entries:
        match node.payload:
            case Call(part=part, method=called, definition=callee):
                return _below(part, self._all(callee, called))
            case Repeat(part=part, method=called, definitions=layers):
                each = (_below(f"{part}.{k}", self._all(d, called)) for k, d in enumerate(layers))
                return frozenset().union(*each)
        return frozenset({f"{method} {place}"} if is_cached(node) else ())


def _below(path: str, entries: Entries) -> Entries:
    return frozenset(f"{path}.{entry}" for entry in entries)


def _called(node: Node) -> tuple[tuple[Definition, str], ...]:
    match node.payload:
        case Call(method=method, definition=callee):
            return ((callee, method),)
        case Repeat(method=method, definitions=layers):
            return tuple((layer, method) for layer in dict.fromkeys(layers))
    return ()
