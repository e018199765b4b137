"""Facts of a program that several reports show: blocks with their bindings, images and their tokens."""

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Graph, Instance, Part, Stack
from lmmdsl.graph.program import Program


def title(program: Program) -> str:
    """Name of a model with its variant."""
    return f"{program.name} {program.variant}" if program.variant else program.name


def show(value: object) -> str:
    """A bound parameter as the language writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case tuple():
            return f"[{', '.join(map(show, value))}]"
        case Dim() | int() | float() | str():
            return str(value)
        case _:
            return str(getattr(value, "name", value))


def block_of(part: Part) -> str:
    """What a part is: its block, `24 x Layer` for a stack, the shape of a parameter."""
    match part:
        case Instance():
            return part.definition.block
        case Stack():
            blocks = dict.fromkeys(layer.block for layer in part.definitions)
            return f"{len(part.definitions)} x {' | '.join(blocks)}"
        case _:
            return f"[{', '.join(map(str, part.shape))}]"


def definition_of(program: Program, kind: str) -> Definition | None:
    """The definition of the first part with a role."""
    part = program.full.parts.get(program.role(kind) or "")
    return part.definition if isinstance(part, Instance) else None


def resolution(program: Program) -> str:
    """Height and width of the images that enter: `336 x 336`."""
    graph = program.root.methods.get("encode") or _forward(program, "encoder")
    if graph is None:
        return "-"
    images = (graph.type_of(value).shape for value in graph.inputs)
    return ", ".join(f"{shape[-2]} x {shape[-1]}" for shape in images if len(shape) == 4) or "-"


def image_tokens(program: Program) -> str:
    """Tokens of an image in a model without layouts: what its connector gives, else its encoder."""
    graph = _forward(program, "connector") or _forward(program, "encoder")
    shape = graph.type_of(graph.outputs[0][1]).shape if graph else ()
    return str(shape[1]) if len(shape) == 3 else ""


def _forward(program: Program, kind: str) -> Graph | None:
    definition = definition_of(program, kind)
    return definition.methods.get("forward") if definition else None
