"""Coverage: whether a checkpoint and a model fit one to one, decided from headers alone.

Takes a weight map, the parameters that the model uses and a checkpoint; gives what to load from
where, and everything that does not fit. Tensors of declared parts that the model never uses are
known: counted, not loaded.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from lmmdsl.diag.codes.weights import CheckpointMismatch
from lmmdsl.weights.header import Checkpoint, Tensor
from lmmdsl.weights.map import Source, WeightMap
from lmmdsl.weights.pattern import matcher

FLOATS = ("F32", "BF16", "F16", "F64")
MOST_NEAR = 20


@dataclass(frozen=True, slots=True)
class Load:
    """A parameter and the tensor that holds it."""

    path: str
    source: Source
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a checkpoint and a model fit.

    Attributes:
        loads: parameters in use with their tensors, in the order of the model.
        unused: tensors of declared parts that the model never uses.
        ignored: tensors that the map says to leave alone.
        copies: tensors under a second name of a parameter, with the first; they must be equal.
        missing: first names of parameters without a tensor.
        unexpected: names of tensors without a parameter.
        misshapen: name, wanted and found type of tensors that do not fit.
    """

    loads: tuple[Load, ...]
    unused: tuple[Tensor, ...]
    ignored: tuple[Tensor, ...]
    copies: tuple[tuple[Tensor, Tensor], ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[tuple[str, str, str], ...]

    @property
    def fits(self) -> bool:
        """Whether every parameter has its tensor and every tensor its use."""
        return not (self.missing or self.unexpected or self.misshapen)

    def mismatch(self, file: str) -> CheckpointMismatch:
        """The diagnostic that lists everything wrong."""
        near = tuple(_near(self.missing, self.unexpected))
        return CheckpointMismatch(
            file=file,
            missing=self.missing,
            unexpected=self.unexpected,
            misshapen=self.misshapen,
            near=near,
        )


def cover(names: WeightMap, used: Collection[str], checkpoint: Checkpoint) -> Coverage:
    """Match parameters and tensors.

    Args:
        names: the sources of all declared parameters.
        used: paths of the parameters that the model needs.
        checkpoint: headers of the files.
    """
    held = checkpoint.tensors
    found = {path: _first(source, held) for path, source in names.sources.items()}
    taken = {tensor.name: path for path, tensor in found.items() if tensor}
    loads = (Load(path, names.sources[path], tensor) for path, tensor in found.items() if tensor)
    copies = {
        other: (held[other], held[name])
        for name, path in taken.items()
        for other in names.sources[path].names
        if other in held and other not in taken
    }
    needed = {tensor.name for path, tensor in found.items() if tensor and path in used}
    ignored = matcher(names.ignored)
    rest = [tensor for name, tensor in held.items() if name not in taken and name not in copies]
    missing = (names.sources[p].names[0] for p, tensor in found.items() if not tensor and p in used)
    return Coverage(
        loads=tuple(load for load in loads if load.path in used),
        unused=tuple(held[name] for name in taken if name not in needed),
        ignored=tuple(tensor for tensor in rest if ignored.fullmatch(tensor.name)),
        copies=tuple(copies.values()),
        missing=tuple(dict.fromkeys(missing)),
        unexpected=tuple(tensor.name for tensor in rest if not ignored.fullmatch(tensor.name)),
        misshapen=tuple(dict.fromkeys(_misshapen(names.sources, found))),
    )


def _first(source: Source, held: Mapping[str, Tensor]) -> Tensor | None:
    return next((held[name] for name in source.names if name in held), None)


def _misshapen(
    sources: Mapping[str, Source], found: Mapping[str, Tensor | None]
) -> Iterator[tuple[str, str, str]]:
    for path, tensor in found.items():
        wanted = sources[path].shape
        if tensor and tensor.shape != wanted:
            yield tensor.name, str(list(wanted)), str(list(tensor.shape))
        elif tensor and tensor.dtype not in FLOATS:
            yield tensor.name, "a float tensor", f"{tensor.dtype} {list(tensor.shape)}"


def _near(missing: tuple[str, ...], unexpected: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in missing[:MOST_NEAR]:
        for other in get_close_matches(name, unexpected, n=1, cutoff=0.75):
            yield name, other
