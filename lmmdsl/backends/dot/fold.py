"""Runs of plain operations, each one box of level `model`, in flows that have many of them.

Operations are one run where they hang together and lie behind the same parts of the model: no arrow then leaves a run
and comes back to it.
"""

import textwrap
from collections.abc import Collection, Iterator, Sequence

from lmmdsl.backends.dot.figure import Box
from lmmdsl.backends.dot.words import operation
from lmmdsl.graph.ir import Apply, Call, Constant, Graph, Node, Repeat, Value

WIDTH = 30  # of a line that lists operations, in characters
MANY = 8  # operations of a flow, up to which each has a box of its own
FEW = 2  # operations that the title of a run names one by one


def runs(graph: Graph, without: Collection[int]) -> tuple[tuple[int, ...], ...]:
    """Runs of a graph, each in order; nodes `without` belong to none."""
    nodes = enumerate(graph.nodes)
    plain = [k for k, node in nodes if isinstance(node.payload, Apply) and k not in without]
    if len(plain) <= MANY:
        return tuple((index,) for index in plain)
    parts = _parts_before(graph)
    found: dict[int, list[int]] = {}  # by their members, which share one list
    for index in plain:
        sources = (value.node for value in graph.nodes[index].inputs if value)
        joined = [
            found[source] for source in sources if parts[source] == parts[index] and source in found
        ]
        members = sorted({index}.union(*joined))
        found |= dict.fromkeys(members, members)
    return tuple(sorted({tuple(members) for members in found.values()}))


def _parts_before(graph: Graph) -> list[frozenset[int]]:
    """Per node, the steps through parts that it depends on."""
    found: list[frozenset[int]] = []
    for node in graph.nodes:
        sources = [value.node for value in node.inputs if value]
        calls = (s for s in sources if isinstance(graph.nodes[s].payload, Call | Repeat))
        found.append(frozenset(calls).union(*(found[source] for source in sources)))
    return found


def run_box(name: str, graph: Graph, run: Sequence[int]) -> Box:
    """The box of a run: word for word if it is short, else with the names of its results over what it does."""
    steps = [_words(graph, graph.nodes[index]) for index in run]
    titles = [title for title, _ in steps]
    if len(run) <= FEW:
        settings = "\n".join(filter(None, (about for _, about in steps)))
        return Box(name, "op", " \u2192 ".join(titles), settings, tone="op")
    own = (Value(index) for index in run)
    names = dict.fromkeys(filter(None, map(graph.name_of, _results(graph, run))))
    names = names or dict.fromkeys(filter(None, map(graph.name_of, own)))
    listed = textwrap.wrap(", ".join(dict.fromkeys(titles)), WIDTH)
    return Box(name, "op", ", ".join(names) or titles[-1], "\n".join(listed), tone="op")


def _words(graph: Graph, node: Node) -> tuple[str, str]:
    """An operation, and its numbers and settings."""
    title, settings = operation(node)
    numbers = (graph.nodes[value.node].payload for value in node.inputs if value)
    shown = [_rounded(n.value) for n in numbers if isinstance(n, Constant)]
    return title, ", ".join(filter(None, [*shown, settings]))


def _results(graph: Graph, run: Sequence[int]) -> Iterator[Value]:
    """Values of a run that something else reads."""
    readers = graph.readers()
    shown = {value for _, value in graph.outputs}
    for index in run:
        for slot in range(len(graph.nodes[index].types)):
            value = Value(index, slot)
            if value in shown or not set(readers.get(value, ())) <= set(run):
                yield value


def _rounded(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
