"""Source lines with marks under them.

Takes marks (a span, a text, primary or not) of one file; gives the lines of a snippet. Columns are
display columns: tabs expand, East Asian wide characters take two, combining marks none; what a
terminal would obey is replaced.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmmdsl.diag.palette import Palette
from lmmdsl.text.source import SourceFile, Span

TAB = 4
MOST_COLUMNS = 160
_BEFORE = 48


@dataclass(frozen=True, slots=True)
class Mark:
    """An underlined span; the primary one is drawn with `^`."""

    span: Span
    text: str
    primary: bool = False


@dataclass(frozen=True, slots=True)
class _Under:
    """A mark in display columns of its line."""

    start: int
    end: int
    text: str
    primary: bool


def display_width(char: str) -> int:
    """Columns that a character takes on a terminal."""
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def clean(text: str) -> str:
    """Text that a terminal only shows: controls and directional overrides become U+FFFD."""
    return "".join("\ufffd" if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def snippet(marks: Sequence[Mark], gutter: int, palette: Palette) -> list[str]:
    """Lines of one file with their numbers, each followed by its marks."""
    file = marks[0].span.file
    rows: list[str] = []
    by_line: dict[int, list[Mark]] = {}
    for mark in marks:
        by_line.setdefault(mark.span.line, []).append(mark)
    for number in sorted(by_line):
        line, unders = _window(file, number, by_line[number])
        rows.append(numbered(number, line, gutter, palette))
        rows += [margin(gutter, palette, row) for row in _under_rows(unders, palette)]
    return rows


def numbered(number: int, line: str, gutter: int, palette: Palette) -> str:
    """A source line behind its number."""
    return f"{palette.gutter(f'{number:<{gutter}} |')} {line}".rstrip()


def margin(gutter: int, palette: Palette, text: str = "") -> str:
    """A line without a number."""
    bar = palette.gutter(" " * gutter + " |")
    return f"{bar} {text}" if text else bar


def shown_line(text: str) -> str:
    """A source line for a terminal: tabs expanded, unsafe characters replaced, cut when long."""
    cells = [_cell(char) for char in text[:MOST_COLUMNS]]
    return "".join(cells) + ("..." if len(text) > MOST_COLUMNS else "")


def _window(file: SourceFile, number: int, marks: Iterable[Mark]) -> tuple[str, list[_Under]]:
    """The shown line and its marks; only the neighbourhood of the marks where the line is long."""
    text = file.line(number)
    base = file.line_starts[number - 1]
    columns = [(m.span.start - base, min(m.span.end - base, len(text)), m) for m in marks]
    first = min(start for start, _, _ in columns)
    cut = first - _BEFORE if len(text) > MOST_COLUMNS and first > _BEFORE else 0
    window = text[cut : cut + MOST_COLUMNS]
    lead, tail = "..." if cut else "", "..." if cut + len(window) < len(text) else ""
    offsets = _offsets(window, len(lead))
    last = len(window)
    unders = [
        _Under(
            offsets[min(start - cut, last)],
            offsets[min(max(end - cut, 0), last)],
            mark.text,
            mark.primary,
        )
        for start, end, mark in columns
    ]
    return lead + "".join(map(_cell, window)) + tail, unders


def _cell(char: str) -> str:
    if char == "\t":
        return " " * TAB
    return "\ufffd" if _is_unsafe(char) else char


def _offsets(text: str, start: int) -> list[int]:
    """Display column of every character of a line, and of its end."""
    found = [start]
    for char in text:
        found.append(found[-1] + sum(display_width(c) for c in _cell(char)))
    return found


def _under_rows(unders: list[_Under], palette: Palette) -> list[str]:
    """The row of underlines, then the texts that do not fit beside it, right to left."""
    ordered = sorted(unders, key=lambda u: (u.start, u.end))
    last = ordered[-1]
    clear = all(u.end <= last.start for u in ordered[:-1])
    beside = last if clear else None
    rows = [_underlines(ordered, palette)]
    if beside and beside.text:
        rows[0] += " " + palette.mark(clean(beside.text), beside.primary)
    hanging = [u for u in ordered if u.text and u is not beside]
    if hanging:
        rows.append(_bars(hanging, palette))
    while hanging:
        under = hanging.pop()
        bars = _bars([u for u in hanging if u.start < under.start], palette, under.start)
        rows.append(bars + palette.mark(clean(under.text), under.primary))
    return rows


def _underlines(unders: Sequence[_Under], palette: Palette) -> str:
    """Longer marks first, so that a mark inside another stays visible."""
    row: dict[int, bool] = {}
    for under in sorted(unders, key=lambda u: (u.start - u.end, u.primary)):
        row |= dict.fromkeys(range(under.start, max(under.end, under.start + 1)), under.primary)
    return "".join(
        palette.mark("^" if row[column] else "-", row[column]) if column in row else " "
        for column in range(max(row) + 1)
    )


def _bars(unders: Sequence[_Under], palette: Palette, width: int = 0) -> str:
    at = {under.start: under.primary for under in unders}
    columns = max([width, *(start + 1 for start in at)])
    return "".join(palette.mark("|", at[c]) if c in at else " " for c in range(columns))
