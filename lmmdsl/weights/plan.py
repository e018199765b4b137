"""From a program and a checkpoint to what will be loaded, or to one report of all that does not fit."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path

from lmmdsl.diag.codes.weights import BadCheckpoint
from lmmdsl.diag.model import Diagnostic
from lmmdsl.diag.sink import Sink
from lmmdsl.graph.program import Program
from lmmdsl.weights.coverage import Coverage, cover
from lmmdsl.weights.header import Checkpoint, HeaderError, read_checkpoint
from lmmdsl.weights.map import WeightMap, map_part, map_program


class WeightsFailed(Exception):
    """A checkpoint and a model do not fit, or a checkpoint cannot be read or written.

    Attributes:
        diagnostics: what is wrong, as for a spec that does not compile.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(line for d in self.diagnostics for line in _lines(d)))


def _lines(found: Diagnostic) -> tuple[str, ...]:
    return (str(found), *found.notes(), *found.helps())


def weight_map(program: Program, naming: str | None) -> WeightMap:
    """The weight map for a scheme; raises `WeightsFailed` when the spec does not give one."""
    sink = Sink()
    names = map_program(program, naming, sink)
    if sink.has_errors:
        raise WeightsFailed(sink.diagnostics)
    return names


def open_checkpoint(path: "str | PathLike[str]") -> Checkpoint:
    """Read the headers of a checkpoint; raises `WeightsFailed`."""
    try:
        return read_checkpoint(path)
    except HeaderError as error:
        problem = BadCheckpoint(file=str(error.file), problem=error.problem)
        raise WeightsFailed([problem]) from None


def plan_load(
    program: Program,
    path: "str | PathLike[str]",
    naming: str | None = None,
    used: Collection[str] | None = None,
) -> Coverage:
    """Match a checkpoint and a program without reading any weight.

    Args:
        program: a checked model.
        path: a safetensors file, a folder of shards or an index.
        naming: the scheme of the names; None for the program's own.
        used: paths of the parameters to load; None for all that the program uses.

    Raises:
        WeightsFailed: the files are damaged (E0707) or do not fit one to one (E0706).
    """
    names = weight_map(program, naming)
    needed = dict(program.root.params()).keys() if used is None else used
    return _covered(names, needed, open_checkpoint(path), path)


def plan_part(
    program: Program,
    path: "str | PathLike[str]",
    part: str,
    naming: str,
    prefix: str,
    used: Collection[str],
) -> Coverage:
    """Match one part and the tensors behind a prefix of a checkpoint; others are not looked at.

    Args:
        program: a checked model.
        path: a safetensors file, a folder of shards or an index.
        part: name of a top-level part.
        naming: the scheme of the names, as the part's block describes it.
        prefix: what stands before the names of the part's tensors, without the dot; "" for nothing.
        used: paths of the parameters that the program uses.

    Raises:
        WeightsFailed: there is no such part (E0206) or scheme (E0703), the files are damaged (E0707) or do not
            fit one to one (E0706).
    """
    sink = Sink()
    names = map_part(program, part, naming, prefix, sink)
    if sink.has_errors:
        raise WeightsFailed(sink.diagnostics)
    checkpoint = open_checkpoint(path)
    inside = {
        name: tensor
        for name, tensor in checkpoint.tensors.items()
        if not prefix or name.startswith(f"{prefix}.")
    }
    needed = [name for name in used if name in names.sources]
    return _covered(names, needed, replace(checkpoint, tensors=inside), path)


def _covered(
    names: WeightMap, used: Collection[str], checkpoint: Checkpoint, path: "str | PathLike[str]"
) -> Coverage:
    coverage = cover(names, used, checkpoint)
    if not coverage.fits:
        raise WeightsFailed([coverage.mismatch(Path(path).name)])
    return coverage
