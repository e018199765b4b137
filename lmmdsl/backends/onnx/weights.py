"""Where the weights of a package lie.

Takes the parameters of all components and a checkpoint known by its headers; gives for each parameter
a file, an offset and a length. In place, graphs point into the safetensors files beside them. Copied,
every parameter goes once into one data file, even when several components read it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from lmmdsl.graph.ir import Param
from lmmdsl.weights.coverage import Load
from lmmdsl.weights.header import Tensor
from lmmdsl.weights.map import Source

KINDS: dict[str, int] = {
    "F32": TensorProto.FLOAT,
    "F16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "F64": TensorProto.DOUBLE,
}
BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8}
ELEMENT_BYTES: dict[int, int] = {TensorProto.FLOAT: 4, TensorProto.FLOAT16: 2}
DATA_FILE = "weights.onnx.data"
SMALL, LARGE = 4096, 65536  # alignment: a page, and the granularity of mappings on Windows


@dataclass(frozen=True, slots=True)
class Stored:
    """The bytes of one parameter in a checkpoint.

    Attributes:
        tensor: the tensor that holds it.
        rows: its rows there, as half-open ranges in order (columns, where the tensor is transposed).
        transposed: whether the tensor is `[columns, rows]`.
    """

    tensor: Tensor
    rows: tuple[tuple[int, int], ...]
    transposed: bool = False

    def ranges(self) -> list[tuple[int, int]]:
        """Byte ranges in the file, offset and length; only when it is not transposed."""
        if not self.tensor.shape:
            return [(self.tensor.offset, self.tensor.size)]
        row = math.prod(self.tensor.shape[1:]) * BYTES[self.tensor.dtype]
        start = self.tensor.offset
        return [(start + low * row, (high - low) * row) for low, high in self.rows]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a parameter lies for the graph: `element` is its stored ONNX element type."""

    element: int
    location: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Job:
    """One parameter to write into the data file."""

    path: str
    stored: Stored
    element: int
    offset: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Placements of all parameters, and what must be written for them to be true."""

    placements: Mapping[str, Placement]
    jobs: tuple[Job, ...]
    size: int


def find_stored(load: Load) -> Stored:
    """The bytes of a parameter in its checkpoint."""
    return Stored(load.tensor, tuple(_rows(load.source)), load.source.transposed)


def _rows(source: Source) -> Iterator[tuple[int, int]]:
    total = (source.shape[-1] if source.transposed else source.shape[0]) if source.shape else 1
    if source.rows is None:
        yield 0, total
        return
    for group in range(source.rows.groups):
        start = group * (total // source.rows.groups) + source.rows.start
        yield start, start + source.rows.count


def plan_in_place(
    params: Mapping[str, Param], stored: Mapping[str, Stored], home: Path, *, element: int
) -> Plan:
    """Point into the checkpoint's files; only what no byte range can express is copied.

    A file counts as beside the graphs when it lies in `home` itself: ONNX Runtime refuses links that leave
    the folder, `..` and absolute paths.
    """
    placements: dict[str, Placement] = {}
    rest: dict[str, Param] = {}
    for path, param in params.items():
        item = stored[path]
        if len(item.rows) > 1 or item.transposed or not _is_beside(item.tensor.file, home):
            rest[path] = param
            continue
        (offset, length), name = item.ranges()[0], item.tensor.file.name
        placements[path] = Placement(KINDS[item.tensor.dtype], name, offset, length)
    copied = plan_copy(rest, stored, element=element)
    return Plan(placements | dict(copied.placements), copied.jobs, copied.size)


def _is_beside(file: Path, home: Path) -> bool:
    return file.resolve().parent == home.resolve() and file.resolve().name == file.name


def plan_copy(
    params: Mapping[str, Param], stored: Mapping[str, Stored] | None, *, element: int
) -> Plan:
    """Lay out one data file; without `stored` the file is only described."""
    placements: dict[str, Placement] = {}
    jobs: list[Job] = []
    end = 0
    for path, param in params.items():
        length = math.prod(size.value for size in param.shape) * ELEMENT_BYTES[element]
        align = LARGE if length >= LARGE else SMALL
        offset = -(-end // align) * align
        end = offset + length
        placements[path] = Placement(element, DATA_FILE, offset, length)
        if stored is not None:
            jobs.append(Job(path, stored[path], element, offset))
    return Plan(placements, tuple(jobs), end)
