"""What the components of a model are: which they are, how they are built, and the way of an image through them."""

from lmmdsl.backends.report.facts import show
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Call, Definition, Graph, Instance, Repeat, Stack
from lmmdsl.graph.program import Program


def components(program: Program, kind: str) -> str:
    """The parts with a role: `CLIP ViT-L/14 (ClipVit, width 1024, depth 23 of 24)`."""
    parts = [role.part for role in program.roles if role.kind == kind]
    return ", ".join(described(program, part) for part in parts) or "-"


def language_model(program: Program) -> str:
    """The LLM; of a model without one, the parts that stand for it: those with a title and no other role."""
    if program.role("llm"):
        return components(program, "llm")
    titled = [role for role in program.roles if role.kind == "part" and role.title]
    parts = (f"{role.part}: {described(program, role.part)}" for role in titled)
    return "; ".join(["none", *parts]) if titled else "-"


def connection(program: Program) -> str:
    """Every part between the encoder and the words, in order; a further visual value has a way of its own."""
    encoders = {role.part for role in program.roles if role.kind == "encoder"}
    ways: list[str] = []
    for name, graph in program.root.methods.items():
        if name == "encode" or name.startswith("encode_"):
            steps = [part for part in _called(graph) if part not in encoders]
            way = " -> ".join(described(program, part) for part in steps)
            ways.append(f"{name.removeprefix('encode_')}: {way}" if ways else way)
    return "; ".join(filter(None, ways)) or components(program, "connector")


def described(program: Program, name: str) -> str:
    """Title, block and sizes of a part; `Linear` where it has no title."""
    part = program.full.parts[name]
    if not isinstance(part, Instance):
        return name
    built = _sizes(part.definition, program.root.parts.get(name))
    title = next((role.title for role in program.roles if role.part == name), "")
    return f"{title} ({built})" if title else built


def _sizes(definition: Definition, used: object) -> str:
    """Name, width and depth of a block, and how many of its layers serve a result if not all do."""
    sizes = [definition.block]
    for name in ("width", "depth"):
        if name in definition.binding:
            number = definition.binding[name]
            layers = _layers(used, number, definition) if name == "depth" else ""
            sizes.append(f"{name} {layers}{show(number)}")
    return ", ".join(sizes)


def _layers(used: object, depth: object, definition: Definition) -> str:
    """`23 of ` where only the first 23 layers of the stack that is as long as `depth` are computed."""
    if not isinstance(used, Instance):
        return ""
    for part in definition.parts.values():
        left = used.definition.parts.get(part.name)
        if not isinstance(part, Stack) or not isinstance(left, Stack):
            continue
        full, count = len(part.definitions), len(left.definitions)
        if Dim.of(full) == depth and count < full:
            return f"{count} of "
    return ""


def _called(graph: Graph) -> list[str]:
    """Top-level parts that a graph calls, in order."""
    payloads = (node.payload for node in graph.nodes)
    calls = (item.part for item in payloads if isinstance(item, Call | Repeat))
    return list(dict.fromkeys(part.partition(".")[0] for part in calls))
