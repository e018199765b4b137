"""Cache entries: how many each definition has, and which methods work with the cache.

A cache has two lists: what cached attentions store, and what is kept from the first step on. An entry of either list
is a number; a block that has one of both gives them the same one, so a decoder layer needs one number. Entries are
counted along the instance tree: a definition's own first, method by method, then those of its parts in order.
"""

from collections.abc import Iterable

from lmmdsl.graph.ir import Apply, Call, Definition, Graph, Instance, Once, Part, Repeat, Stack

Use = tuple[int, int]  # entries in the list of attentions, and in that of what is kept


class Slots:
    """Cache entries of a program."""

    def __init__(self, root: Definition, whole: Iterable[str] = ()) -> None:
        """Count the entries; methods of the root that run as a `whole` take no cache."""
        self._uses: dict[Definition, Use] = {}
        self._offsets: dict[Definition, dict[str, int]] = {}
        self._cached = {(root, method): False for method in whole}
        self._starts: dict[Definition, set[int]] = {}
        self._collect(root, 0)

    def count(self, definition: Definition) -> int:
        """Number of entries that the longer list has for a definition and its parts."""
        return max(self._use(definition))

    def own(self, definition: Definition) -> int:
        """Number of entries of a definition's own methods, in the longer list."""
        return max(_own(definition))

    def before(self, definition: Definition, name: str) -> int:
        """How far behind a definition's first entry those of a part start."""
        self._use(definition)
        return self._offsets[definition][name]

    def _use(self, definition: Definition) -> Use:
        if definition not in self._uses:
            used, offsets = _own(definition), {}
            for part in definition.parts.values():
                wanted = self._part_use(part)
                offset = max(u if w else 0 for u, w in zip(used, wanted, strict=True))
                used = _joined(used, wanted, offset)
                offsets[part.name] = offset
            self._uses[definition], self._offsets[definition] = used, offsets
        return self._uses[definition]

    def _part_use(self, part: Part) -> Use:
        match part:
            case Instance(definition=inner):
                return self._use(inner)
            case Stack(definitions=layers):
                used, start = (0, 0), 0
                for layer in layers:
                    used = _joined(used, self._use(layer), start)
                    start += self.count(layer)
                return used
        return (0, 0)

    def index(self, definition: Definition, method: str, node: int) -> int:
        """Which of the definition's own entries a node has."""
        total = (0, 0)
        for name, graph in definition.methods.items():
            for index, item in enumerate(graph.nodes):
                wanted = _wanted(item.payload)
                if (name, index) == (method, node):
                    return total[wanted.index(1)]
                total = _sum(total, wanted)
        raise KeyError(f"{definition.block}.{method} has no node {node}")

    def start(self, definition: Definition) -> int | None:
        """The first entry of a definition if all its instances have the same one, else None."""
        starts = self._starts.get(definition, {0})
        return next(iter(starts)) if len(starts) == 1 else None

    def unite(self, definitions: Iterable[Definition], others: Iterable[Definition]) -> None:
        """Definitions that share a class, and others that stand for them, have the first entries of all."""
        definitions = tuple(definitions)
        starts = set().union(*(self._starts.get(item, {0}) for item in definitions))
        self._starts |= dict.fromkeys((*definitions, *others), starts)

    def is_cached(self, definition: Definition, method: str) -> bool:
        """Whether a method takes the cache."""
        key = (definition, method)
        if key not in self._cached:
            self._cached[key] = any(map(self._touches, _payloads(definition.methods[method])))
        return self._cached[key]

    def _touches(self, payload: object) -> bool:
        match payload:
            case Call(definition=inner, method=method):
                return self.is_cached(inner, method)
            case Repeat(definitions=layers, method=method):
                return any(self.is_cached(layer, method) for layer in dict.fromkeys(layers))
        return any(_wanted(payload))

    def _collect(self, definition: Definition, start: int) -> None:
        self._starts.setdefault(definition, set()).add(start)
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


def _wanted(payload: object) -> Use:
    """Entries that a step itself has."""
    attends = isinstance(payload, Apply) and bool(payload.op.attributes.get("cache"))
    return int(attends), int(isinstance(payload, Once))


def _own(definition: Definition) -> Use:
    total = (0, 0)
    for graph in definition.methods.values():
        for payload in _payloads(graph):
            total = _sum(total, _wanted(payload))
    return total


def _sum(one: Use, other: Use) -> Use:
    return one[0] + other[0], one[1] + other[1]


def _joined(used: Use, wanted: Use, offset: int) -> Use:
    """Entries in use, where a part's start at an offset."""
    first, second = (offset + w if w else u for u, w in zip(used, wanted, strict=True))
    return first, second
