"""Tables as aligned text, Markdown, HTML and CSV.

Every report turns into `Table`s; how a table is written is decided here alone.
"""

import csv
import html
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

CELL = 72  # widest cell on a terminal
WIDE = 150  # widest table that stays upright
ROOM = 30  # narrowest column that can be read when cells are long
LINE = 100  # longest line of a paragraph
GAP = 2


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers. `right` lists the columns of numbers; `notes` are lines below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Write it for a terminal: with aligned columns, whose long cells lose their middle.

        A table that is too wide is laid on its side if its rows have room there, and its long cells are broken into
        lines; one of many columns and rows becomes a list with a paragraph for each row.
        """
        if not self._is_wide():
            return self._upright()
        room = (WIDE - max(map(len, self.columns))) // max(len(self.rows), 1) - GAP
        if len(self.rows) < len(self.columns) and room >= ROOM:
            return self._on_its_side(min(room, CELL))._upright()
        if len(self.columns) * ROOM > WIDE:
            return self._paragraphs()
        return self._upright()

    def _is_wide(self) -> bool:
        lines = (self.columns, *self.rows)
        widths = (
            max(len(clip(cell)) + GAP for cell in column) for column in zip(*lines, strict=True)
        )
        return sum(widths) > WIDE

    def _upright(self) -> str:
        rows = [tuple(map(clip, row)) for row in self.rows]
        lines = [self.columns, *rows] if any(self.columns) else rows
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
        body = [self._line(line, widths) for line in lines]
        if any(self.columns):
            body.insert(1, "  ".join("-" * width for width in widths))
        return self._titled(body)

    def _on_its_side(self, room: int) -> "Table":
        first, *others = zip(self.columns, *self.rows, strict=True)
        rows: list[tuple[str, ...]] = []
        for name, *cells in others:
            broken = ([name], *(_wrapped(cell, room) for cell in cells))
            rows += zip_longest(*broken, fillvalue="")
        return Table(self.title, first, tuple(rows), notes=self.notes)

    def _paragraphs(self) -> str:
        margin = max(map(len, self.columns[1:])) + GAP
        lines: list[str] = []
        for head, *cells in self.rows:
            lines += ["", head]
            for name, cell in zip(self.columns[1:], cells, strict=True):
                first, *others = _wrapped(cell, LINE - margin - 2 * GAP)
                lines.append(f"  {name:{margin}}{first}".rstrip())
                lines += (f"  {'':{margin}}{part}" for part in others)
        return self._titled(lines)

    def _titled(self, lines: Sequence[str]) -> str:
        body = (f"  {line}".rstrip() for line in (*lines, *self.notes))
        return "\n".join([self.title, *body]).rstrip()

    def _line(self, cells: tuple[str, ...], widths: list[int]) -> str:
        padded = (
            cell.rjust(width) if column in self.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    def markdown(self) -> str:
        """Write it as a Markdown section."""
        rule = ["---:" if column in self.right else "---" for column in range(len(self.columns))]
        lines = [_pipes(map(_markdown, self.columns)), _pipes(rule)]
        lines += [_pipes(map(_markdown, row)) for row in self.rows]
        notes = [f"\n{_markdown(note)}" for note in self.notes]
        return "\n".join([f"### {_markdown(self.title)}", "", *lines, *notes])

    def html(self) -> str:
        """Write it as an HTML table."""
        head = _cells("th", self.columns, self.right)
        rows = [f"<tr>{_cells('td', row, self.right)}</tr>" for row in self.rows]
        notes = [f"<p>{html.escape(note)}</p>" for note in self.notes]
        caption = f"<caption>{html.escape(self.title)}</caption>"
        body = ["<thead>", f"<tr>{head}</tr>", "</thead>", "<tbody>", *rows, "</tbody>"]
        return "\n".join(["<table>", caption, *body, "</table>", *notes])

    def csv(self) -> str:
        """Write it as comma-separated values."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.columns, *map(_harmless, self.rows)])
        return out.getvalue().rstrip("\n")


def clip(cell: str, width: int = CELL) -> str:
    """Shorten a text to a width by leaving out its middle."""
    if len(cell) <= width:
        return cell
    end = width // 3
    return f"{cell[: width - end - 3]}...{cell[-end:]}"


def _wrapped(cell: str, width: int) -> list[str]:
    """Break a text into lines; an empty one is one line."""
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(cell: str) -> str:
    for character in ("\\", "|", "<", "*", "_", "`", "["):
        cell = cell.replace(character, f"\\{character}")
    return cell.replace("\n", " ")


def _cells(tag: str, cells: tuple[str, ...], right: frozenset[int]) -> str:
    style = ' style="text-align: right"'
    return "".join(
        f"<{tag}{style if column in right else ''}>{html.escape(cell)}</{tag}>"
        for column, cell in enumerate(cells)
    )


def _harmless(row: tuple[str, ...]) -> tuple[str, ...]:
    # A spreadsheet runs a cell that begins like a formula, and names in specs come from strangers.
    return tuple(f"'{cell}" if cell.startswith(("=", "+", "@")) else cell for cell in row)
