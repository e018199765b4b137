"""Columns: of neighbouring declarations, settings and comments."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from lmmdsl.pretty.doc import Doc, Row, flat_width

_WIDEST = 60  # a cell wider than this is not worth a column
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """An item that may share columns with its neighbours.

    Attributes:
        kind: items of one kind in neighbouring lines share columns.
        left: what stands in the columns before the last one.
        rest: the last column.
        column: where the last column stood in the source; items share columns only where these are equal.
    """

    kind: str
    left: tuple[Doc, ...]
    rest: Doc
    column: int = 0


def aligned(neighbours: Sequence[Doc | Cells]) -> list[Doc]:
    """Lay out the items of neighbouring lines."""
    found: list[Doc] = []
    for run in _runs(neighbours, lambda item: isinstance(item, Cells) and (item.kind, item.column)):
        cells = [item for item in run if isinstance(item, Cells)]
        found += _columns(cells) if cells else [item for item in run if not isinstance(item, Cells)]
    return found


def align_remarks(rows: Sequence[Row]) -> list[str]:
    """Print rows; comments that stood in one column on neighbouring lines stand in one column again."""
    found: list[str] = []
    for run in _runs(rows, _remark_column):
        if _remark_column(run[0]):
            width = max(len(row.text.rstrip()) for row in run)
            found += (f"{row.text.rstrip():{width}}  {row.remarks[0].text}" for row in run)
        else:
            found += map(str, run)
    return found


def _runs(items: Iterable[T], key: Callable[[T], object]) -> Iterator[list[T]]:
    return (list(run) for _, run in groupby(items, key))


def _remark_column(row: Row) -> int:
    return row.remarks[0].column if len(row.remarks) == 1 and row.text.strip() else 0


def _columns(run: list[Cells]) -> list[Doc]:
    columns = zip(*(cells.left for cells in run), strict=True)
    widths = [max(flat_width(cell, _WIDEST) or 0 for cell in column) for column in columns]
    return [_row(cells, widths) for cells in run]


def _row(cells: Cells, widths: Sequence[int]) -> Doc:
    padded = []
    for cell, width in zip(cells.left, widths, strict=True):
        own = flat_width(cell, _WIDEST)
        padded.append((cell, " " * (1 + max(0, width - own) if own is not None else 1)))
    return (*padded, cells.rest)
