"""What each training stage trains, counted.

Takes a program and a stage; gives parameters per top-level part. Only parts that the methods use are counted: a layer
that is never computed cannot be trained.
"""

from dataclasses import dataclass

from lmmdsl.graph.ir import Definition, Instance, Param
from lmmdsl.graph.program import LoraRule, Program, Stage
from lmmdsl.passes.count import Amount, Parameters, find_part


@dataclass(frozen=True, slots=True)
class PartTraining:
    """One top-level part in one stage.

    Attributes:
        part: its name.
        state: `trained`, `partly`, `adapters` (frozen, with LoRA beside) or `frozen`.
        used: its parameters that could be trained.
        trained: those of them that are.
        adapters: LoRA parameters added beside it.
    """

    part: str
    state: str
    used: int
    trained: int
    adapters: int


def count_stage(program: Program, stage: Stage) -> tuple[PartTraining, ...]:
    """Parameters that a stage trains, per part in source order."""
    counts = Parameters(program.root)
    paths = outermost(stage.train)
    return tuple(_count_part(program.root, name, paths, stage, counts) for name in ordered(program))


def ordered(program: Program) -> tuple[str, ...]:
    """Names of the top-level parts in the order of the source."""
    parts = program.root.parts.values()
    return tuple(part.name for part in sorted(parts, key=lambda part: part.span.start))


def _count_part(
    root: Definition, name: str, paths: tuple[str, ...], stage: Stage, counts: Parameters
) -> PartTraining:
    inside = (path for path in paths if path.partition(".")[0] == name)
    trained = sum((counts.of_path(root, path) for path in inside), Amount()).learned
    adapters = sum(_adapters(root, rule, name) for rule in stage.lora)
    used = counts.of_path(root, name).learned
    return PartTraining(name, state_of(used, trained, adapters), used, trained, adapters)


def state_of(used: int, trained: int, adapters: int) -> str:
    """The state of what has so many parameters, of which some are trained, or get adapters beside them."""
    if trained:
        return "trained" if trained == used else "partly"
    return "adapters" if adapters else "frozen"


def outermost(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Paths that are not below others."""
    known = set(paths)
    return tuple(path for path in dict.fromkeys(paths) if not known & set(_above(path)))


def _above(path: str) -> list[str]:
    names = path.split(".")
    return [".".join(names[:count]) for count in range(1, len(names))]


def _adapters(root: Definition, rule: LoraRule, name: str) -> int:
    inside = (path for path in rule.paths if path.partition(".")[0] == name)
    return sum(rule.rank * _sides(root, path) for path in inside)


def _sides(root: Definition, path: str) -> int:
    """Rows plus columns of the matrix of a linear part."""
    part = find_part(root, path)
    weight = part.definition.parts["weight"] if isinstance(part, Instance) else None
    return sum(axis.value for axis in weight.shape) if isinstance(weight, Param) else 0
