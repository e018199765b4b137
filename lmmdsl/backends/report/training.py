"""What a stage trains of a part that it trains in part: what injections added to it, or all but that."""

from collections.abc import Mapping
from dataclasses import dataclass

from lmmdsl.graph.ir import Definition, Instance
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.count import Parameters, find_part
from lmmdsl.passes.stages import PartTraining


@dataclass(frozen=True, slots=True)
class Additions:
    """What injections added to the parts of a model: the path of each piece, its name and its parameters."""

    pieces: Mapping[str, tuple[str, int]]

    def told(self, part: PartTraining, stage: Stage) -> str:
        """`expert` or `all but Lora`; "" where a stage trains something else of the part."""
        pieces = {path: piece for path, piece in self.pieces.items() if _is_below(path, part.part)}
        names = ", ".join(dict.fromkeys(name for name, _ in pieces.values()))
        paths = [path for path in stage.train if _is_below(path, part.part)]
        inside = [any(_is_below(path, piece) for piece in pieces) for path in paths]
        if all(inside):
            return names
        whole = part.trained + sum(count for _, count in pieces.values()) == part.used
        return f"all but {names}" if pieces and whole and not any(inside) else ""


def additions(program: Program) -> Additions:
    """Find what the injections of a program added beside the parts that they wrap."""
    counts = Parameters(program.root)
    found: dict[str, tuple[str, int]] = {}
    for item in program.injections:
        for path in item.paths:
            for name in _added(program.root, path):
                piece = f"{path}.{name}"
                found[piece] = (item.what, counts.of_path(program.root, piece).learned)
    return Additions(found)


def _added(root: Definition, path: str) -> list[str]:
    part = find_part(root, path)
    if not isinstance(part, Instance) or not part.definition.wraps:
        return []
    return [name for name in part.definition.parts if name != part.definition.wraps]


def _is_below(path: str, above: str) -> bool:
    return f"{path}.".startswith(f"{above}.")
