"""Cache entries: how many each definition has, and which methods work with the cache.

An entry belongs to a cached attention, or to values that are kept from the first step on. Entries
are counted along the instance tree: a definition's own first, method by method, then those of its
parts in order.
"""

from lmmdsl.graph.ir import Apply, Call, Definition, Graph, Instance, Once, Repeat, Stack


class Slots:
    """Cache entries of a program."""

    def __init__(self, root: Definition) -> None:
        self._counts: dict[int, int] = {}
        self._cached: dict[tuple[int, str], bool] = {}
        self._starts: dict[int, set[int]] = {}
        self._collect(root, 0)

    def count(self, definition: Definition) -> int:
        """Number of entries of a definition and its parts."""
        if id(definition) not in self._counts:
            parts = sum(self.part_count(definition, name) for name in definition.parts)
            self._counts[id(definition)] = self.own(definition) + parts
        return self._counts[id(definition)]

    def own(self, definition: Definition) -> int:
        """Number of entries of a definition's own methods."""
        return sum(
            _caches(node.payload) for graph in definition.methods.values() for node in graph.nodes
        )

    def part_count(self, definition: Definition, name: str) -> int:
        """Number of entries of a part."""
        match definition.parts[name]:
            case Instance(definition=inner):
                return self.count(inner)
            case Stack(definitions=layers):
                return sum(map(self.count, layers))
        return 0

    def before(self, definition: Definition, name: str) -> int:
        """Number of a definition's entries in front of a part's."""
        names = list(definition.parts)
        earlier = names[: names.index(name)]
        return self.own(definition) + sum(self.part_count(definition, other) for other in earlier)

    def index(self, definition: Definition, method: str, node: int) -> int:
        """Which of the definition's own entries a node has."""
        total = 0
        for name, graph in definition.methods.items():
            for index, item in enumerate(graph.nodes):
                if (name, index) == (method, node):
                    return total
                total += _caches(item.payload)
        raise KeyError(f"{definition.block}.{method} has no node {node}")

    def start(self, definition: Definition) -> int | None:
        """The first entry of a definition if all its instances have the same one, else None."""
        starts = self._starts.get(id(definition), {0})
        return next(iter(starts)) if len(starts) == 1 else None

    def is_cached(self, definition: Definition, method: str) -> bool:
        """Whether a method takes the cache."""
        key = (id(definition), method)
        if key not in self._cached:
            self._cached[key] = any(map(self._touches, _payloads(definition.methods[method])))
        return self._cached[key]

    def _touches(self, payload: object) -> bool:
        match payload:
            case Call(definition=inner, method=method):
                return self.is_cached(inner, method)
            case Repeat(definitions=layers, method=method):
                return any(self.is_cached(layer, method) for layer in dict.fromkeys(layers))
        return _caches(payload)

    def _collect(self, definition: Definition, start: int) -> None:
        self._starts.setdefault(id(definition), set()).add(start)
        if not self.count(definition):
            return
        for part in definition.parts.values():
            at = start + self.before(definition, part.name)
            match part:
                case Instance(definition=inner):
                    self._collect(inner, at)
                case Stack(definitions=layers):
                    for layer in layers:
                        self._collect(layer, at)
                        at += self.count(layer)


def _payloads(graph: Graph) -> list[object]:
    return [node.payload for node in graph.nodes]


def _caches(payload: object) -> bool:
    if isinstance(payload, Apply):
        return bool(payload.op.attributes.get("cache"))
    return isinstance(payload, Once)
