"""Where visual features enter the words: spliced among them, or through what injections put into the layers."""

from lmmdsl.graph.ir import Apply, Call, Graph, Input, Value
from lmmdsl.graph.program import Program, Woven
from lmmdsl.types.tensor import DType


def entry(program: Program) -> str:
    """How visual features reach the words.

    An injection counts if images go through it: it reads them, serves their tokens alone, or flows hand them to it.
    One that changes all tokens alike, such as low-rank adapters, is training: the stages tell of it.
    """
    graph = program.root.methods.get("embed")
    ways = ["in the input sequence"] if graph and _splices(graph) else []
    ways += [
        woven_text(item) for item in program.injections if item.values or item.token or item.handed
    ]
    if graph is None and not ways:
        ways = _meetings(program)
    return "; ".join(ways) or ("none" if graph else "-")


def woven_text(item: Woven) -> str:
    """An injection in a few words: `xattn before llm.layers[every 4] (8 times)`."""
    where = f"{item.selector} on {item.token}" if item.token else item.selector
    times = f" ({len(item.paths)} times)" if len(item.paths) > 1 else ""
    return f"{item.what} {item.verb} {where}{times}"


def _splices(graph: Graph) -> bool:
    optional = {
        index
        for index, node in enumerate(graph.nodes)
        if isinstance(node.payload, Input) and node.types[0].optional
    }
    reads = (
        v.node for node in graph.nodes if isinstance(node.payload, Apply) for v in node.inputs if v
    )
    return any(index in optional for index in reads)


def _meetings(program: Program) -> list[str]:
    """Parts that flows give images and token ids at once: `in qformer (match, write)`."""
    found: dict[str, dict[str, None]] = {}
    for graph in program.root.methods.values():
        for call in _given_both(graph, program.role("encoder")):
            found.setdefault(call.part, {})[call.method] = None
    return [f"in {part} ({', '.join(methods)})" for part, methods in found.items()]


def _given_both(graph: Graph, encoder: str | None) -> list[Call]:
    visual: set[Value] = set()
    found: list[Call] = []
    for index, node in enumerate(graph.nodes):
        call = node.payload if isinstance(node.payload, Call) else None
        given = [value for value in node.inputs if value]
        is_encoder = call is not None and call.part == encoder
        if not is_encoder and visual.isdisjoint(given):
            continue
        visual |= {Value(index, slot) for slot in range(len(node.types))}
        if call and any(graph.type_of(value).dtype is DType.INT for value in given):
            found.append(call)
    return found
