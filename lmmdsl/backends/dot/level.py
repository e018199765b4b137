"""Which picture of a program to draw: its level, its part, its stage."""

from dataclasses import replace

from lmmdsl.backends.dot.emit import emit
from lmmdsl.backends.dot.figure import Figure, Grid
from lmmdsl.backends.dot.flow import draw_flow
from lmmdsl.backends.dot.mermaid import emit_mermaid
from lmmdsl.backends.dot.model import draw_model
from lmmdsl.backends.dot.modes import mode_grids
from lmmdsl.backends.dot.visibility import make_grid
from lmmdsl.graph.ir import Definition, Instance, Stack, distinct
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.count import find_part
from lmmdsl.passes.ledger import ledgers

LEVELS = ("model", "part", "block", "visibility")


class DrawError(Exception):
    """There is no such picture; `candidates` are names that exist."""

    def __init__(self, problem: str, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        self.candidates = candidates


def draw(
    program: Program,
    *,
    level: str = "model",
    part: str | None = None,
    stage: str | None = None,
    layout: str | None = None,
) -> str:
    """Draw a program as DOT text.

    Args:
        program: the checked model.
        level: `model` (all on one slide), `part` (the inside of a part), `block` (every operation of a block), or
            `visibility` (who sees whom in the LLM, or in each method of a part).
        part: for `part` and `block`: a path such as `vision` or `llm.layers`, the name of a block, or a method of
            the model such as `arrange`; for `visibility`: a part, instead of the LLM.
        stage: for `model`: colour parts by what this stage trains.
        layout: for `model` and `visibility`: whose tokens to show; the first layout by default.

    Raises:
        DrawError: a name that does not exist.
    """
    return emit(figure(program, level=level, part=part, stage=stage, layout=layout))


def mermaid(
    program: Program,
    *,
    level: str = "model",
    part: str | None = None,
    stage: str | None = None,
    layout: str | None = None,
) -> str:
    """Draw a program as Mermaid text; the arguments are those of `draw`."""
    return emit_mermaid(figure(program, level=level, part=part, stage=stage, layout=layout))


def figure(
    program: Program, *, level: str, part: str | None, stage: str | None, layout: str | None
) -> Figure:
    """The picture before it is written."""
    match level:
        case "model":
            _check(layout, "layout", tuple(item.name for item in program.layouts))
            return draw_model(program, _stage(program, stage), layout)
        case "part" | "block":
            return _flow(program, part, depth=1 if level == "part" else 0)
        case "visibility":
            _check(layout, "layout", tuple(item.name for item in program.layouts))
            return _visibility(program, part, layout)
        case _:
            raise DrawError(f"no level `{level}`", LEVELS)


def _check(name: str | None, what: str, known: tuple[str, ...]) -> None:
    if name is not None and name not in known:
        raise DrawError(f"no {what} `{name}`", known)


def _stage(program: Program, name: str | None) -> Stage | None:
    _check(name, "stage", tuple(item.name for item in program.stages))
    return next((item for item in program.stages if item.name == name), None)


def _flow(program: Program, name: str | None, *, depth: int) -> Figure:
    blocks = dict.fromkeys(d.block for d in distinct(program.root))
    known = (*program.root.parts, *blocks, *program.root.methods)
    if name is None:
        raise DrawError("this level needs a part", known)
    definition = _definition(program, name) or _method(program, name)
    if definition is None:
        raise DrawError(f"no part or block `{name}`", known)
    roles = {role.part: role.kind for role in program.roles}
    tone = roles.get(name.partition(".")[0], "part")
    return draw_flow(definition, name, tone=tone, depth=depth)


def _definition(program: Program, name: str) -> Definition | None:
    part = find_part(program.root, name)
    match part:
        case Instance():
            return part.definition
        case Stack():
            return part.definitions[0]
    return next((item for item in distinct(program.root) if item.block == name), None)


def _method(program: Program, name: str) -> Definition | None:
    """The model with one method only."""
    graph = program.root.methods.get(name)
    return replace(program.root, methods={name: graph}) if graph else None


def _visibility(program: Program, part: str | None, layout: str | None) -> Figure:
    variant = f" {program.variant}" if program.variant else ""
    title = f"{program.name}{variant}"
    grids, about = _grids(program, part, layout)
    if not grids:
        raise DrawError(
            "who sees whom cannot be drawn: there is no layout and no part that attends to its own rows,"
            " or its layers differ",
            tuple(program.root.parts),
        )
    row = tuple(grid.id for grid in grids)
    return Figure(title, about, grids, (), rows=(row,), name=program.name)


def _grids(program: Program, part: str | None, layout: str | None) -> tuple[tuple[Grid, ...], str]:
    """The matrix of the LLM, or those of a part: without an LLM, of its connector."""
    ledger = next((item for item in ledgers(program) if layout in (None, item.layout)), None)
    if part is None and ledger and "decode" in program.root.methods:
        grid = make_grid(program, ledger, "sees")
        return ((grid,) if grid else ()), f"layout {ledger.layout}"
    name = part or program.role("connector")
    definition = _definition(program, name) if name else None
    if part is not None and definition is None:
        raise DrawError(f"no part or block `{part}`", tuple(program.root.parts))
    if definition is None or name is None:
        return (), ""
    return mode_grids(definition, name), f"{definition.block}: who sees whom in each of its methods"
