"""Rows of boxes as wide as a page: text stays readable when the picture is as wide as a column of print.

Widths are estimates: which fonts draw the picture is not known here. A chain that does not fit goes on in the next row,
in the other direction, so that its arrow leads straight down.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from lmmdsl.backends.dot.figure import Arrow, Box, Cell, Frame, Grid, Item, Line, Strip
from lmmdsl.backends.dot.label import BODY, SMALL, TITLE

PAGE = 1080  # points; with its margins, a column of print of 510 makes 5 points of 12
FRAMED = 3 * PAGE // 2  # for frames, which are high: a narrower picture would not fit in height
BOLD, MONO, CHAR = 0.72, 0.6, 0.52  # widths of letters, of the size of their type
MARGIN, PADDING, SQUARE = 22, 18, 17
GAP = 42  # between boxes that an arrow joins
STEP = 10  # in which an even width of lines is looked for


def text_width(text: str, size: int, char: float = CHAR) -> float:
    """Estimate a text's width in points; a letter of East Asia is a whole square."""
    return sum(size * (1 if ord(letter) > 0x2E7F else char) for letter in text)


def cell_width(cell: Cell) -> float:
    """Estimate the width of a segment of a strip."""
    below = (text_width(note, SMALL) for note in (cell.count, *cell.notes))
    lines = (text_width(line, BODY, MONO) for line in cell.text.splitlines())
    return max(*lines, *below) + PADDING


def item_width(item: Item) -> float:
    """Estimate the width of what is drawn."""
    match item:
        case Box():
            return _box_width(item) + MARGIN
        case Strip():
            return max(sum(map(cell_width, line)) for line in item.lines)
        case Grid():
            names = max(text_width(name, SMALL, MONO) for _, name in item.labels)
            return names + SQUARE * (len(item.labels) + len(item.more))


def _box_width(box: Box) -> float:
    head = text_width(box.title, BODY)
    if box.kind in ("card", "wide"):
        head = text_width(f"{box.title} {box.value}", TITLE, BOLD)
    texts = [
        text_width(line, SMALL) for line in (*box.subtitle.splitlines(), *box.note.splitlines())
    ]
    lines = [max(map(_line_width, (line, *line.inside))) + PADDING for line in box.lines]
    inside = sum(lines) if box.kind == "wide" else max(lines, default=0)
    return max(head, inside, *texts)


def _line_width(line: Line) -> float:
    return text_width(f"{line.count} {line.text} ", BODY) + text_width(line.value, SMALL)


def strip_lines(cells: Sequence[Cell]) -> tuple[tuple[Cell, ...], ...]:
    """The cells of a strip in lines no wider than a page."""
    lines = _lines([cell_width(cell) for cell in cells])
    return tuple(tuple(cells[place] for place in line) for line in lines)


def fits(row: Sequence[Item], arrows: Sequence[Arrow]) -> bool:
    """Whether boxes fit side by side."""
    return sum(_widths(row, arrows)) <= PAGE


def wrapped(row: Sequence[Item], arrows: Sequence[Arrow]) -> Iterator[tuple[str, ...]]:
    """Rows of a chain, which goes to the right and to the left in turn."""
    for place, line in enumerate(_lines(_widths(row, arrows))):
        names = tuple(row[k].id for k in line)
        yield names[::-1] if place % 2 else names


def below(
    frames: Sequence[Frame], items: Sequence[Item], arrows: Sequence[Arrow]
) -> Iterator[Arrow]:
    """Hidden arrows that put frames under others where all of them side by side are too wide."""
    drawn = {item.id: item for item in items}
    ranks = [_ranks(frame, arrows) for frame in frames]
    widths = [max(sum(item_width(drawn[name]) + GAP for name in row) for row in of) for of in ranks]
    lines = _lines(widths, FRAMED)
    for upper, lower in pairwise(lines):
        ends = (frames[place].items[-1] for place in upper)
        yield from (
            Arrow(end, frames[place].items[0], is_hidden=True) for end in ends for place in lower
        )


def _ranks(frame: Frame, arrows: Sequence[Arrow]) -> list[list[str]]:
    """The boxes of a frame by how many arrows lead to them."""
    rank = dict.fromkeys(frame.items, 0)
    for name in frame.items:  # which stand behind what they are made of
        before = [rank[a.source] for a in arrows if a.target == name and a.source in rank]
        rank[name] = max(before, default=-1) + 1
    return [[n for n in frame.items if rank[n] == place] for place in range(max(rank.values()) + 1)]


def _widths(row: Sequence[Item], arrows: Sequence[Arrow]) -> list[float]:
    """What each box of a row takes, with the arrow from it to the next one."""
    labels = {(arrow.source, arrow.target): arrow.label for arrow in arrows}
    ends = [*(item.id for item in row[1:]), ""]
    gaps = [_gap(labels.get((item.id, end), ())) for item, end in zip(row, ends, strict=True)]
    return [item_width(item) + gap for item, gap in zip(row, [*gaps[:-1], 0], strict=True)]


def _gap(label: Sequence[str]) -> float:
    first = [text_width(line, BODY, BOLD) for line in label[:1]]
    return max([GAP - MARGIN, *first, *(text_width(line, SMALL) for line in label[1:])]) + MARGIN


def _lines(widths: Sequence[float], page: int = PAGE) -> list[list[int]]:
    """Places in as few lines as a page allows, of about the same width."""
    fewest = len(_filled(widths, page))
    limits = range(0, page, STEP)
    even = (lines for limit in limits if len(lines := _filled(widths, limit)) == fewest)
    return next(even, _filled(widths, page))


def _filled(widths: Sequence[float], limit: float) -> list[list[int]]:
    """Places in lines, each as full as it gets; what is wider than a line has one of its own."""
    lines: list[list[int]] = []
    taken = 0.0
    for place, width in enumerate(widths):
        if not lines or taken + width > limit:
            lines.append([])
            taken = 0.0
        lines[-1].append(place)
        taken += width
    return lines
