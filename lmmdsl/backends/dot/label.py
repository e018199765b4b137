"""Graphviz's HTML-like labels. Every text is escaped here; nothing else writes label text."""

import html
from collections.abc import Iterable

from lmmdsl.backends.dot.figure import Box, Cell, Figure, Grid, Line, Strip
from lmmdsl.backends.dot.signs import SIGNS
from lmmdsl.backends.dot.style import INK, MONO, MUTED, PAPER, RULE, SEES, SEES_IMAGE, tone

TITLE, BODY, SMALL = 18, 14, 12
SIDE = 16  # of a square of a matrix
LOSS = "loss"
LEFT = 'ALIGN="LEFT"'
_PLAIN = 'BORDER="0" CELLBORDER="0" CELLSPACING="0"'


def escape(text: str) -> str:
    """Escape a text; control characters show as their code, an empty text as a space."""
    shown = "".join(char if char.isprintable() else _code(char) for char in text)
    return html.escape(shown) or " "


def _code(char: str) -> str:
    return {"\n": "\\n", "\t": "\\t"}.get(char, f"\\u{ord(char):04x}")


def words(
    text: str, size: int = BODY, *, color: str = INK, bold: bool = False, mono: bool = False
) -> str:
    """A run of text."""
    face = f' FACE="{MONO}"' if mono else ""
    inner = f"<B>{escape(text)}</B>" if bold else escape(text)
    return f'<FONT POINT-SIZE="{size}" COLOR="{color}"{face}>{inner}</FONT>'


def _row(*cells: str) -> str:
    return f"<TR>{''.join(cells)}</TR>"


def _cell(inner: str, attributes: str = "") -> str:
    return f"<TD {attributes}>{inner}</TD>" if attributes else f"<TD>{inner}</TD>"


def _table(rows: Iterable[str], attributes: str = _PLAIN) -> str:
    return f"<TABLE {attributes}>{''.join(rows)}</TABLE>"


def box(item: Box) -> str:
    """The label of a box."""
    if item.kind in ("card", "wide"):
        return _card(item)
    size = TITLE if item.title in SIGNS.values() else BODY
    rows = [_row(_cell(words(item.title, size, bold=item.kind != "op")))]
    rows += [_row(_cell(words(line, SMALL, color=MUTED))) for line in item.subtitle.splitlines()]
    rows += [_row(_cell(words(line.text, SMALL))) for line in item.lines]
    return _table(rows, f'{_PLAIN} CELLPADDING="1"')


def _card(item: Box) -> str:
    colors = tone(item.tone)
    title = f"{item.title}  " if item.value else item.title
    head = _cell(words(title, TITLE, bold=True), LEFT)
    value = _cell(words(item.value, 15, bold=True, color=colors.line), 'ALIGN="RIGHT"')
    rows = [_row(head, value)]
    tag = _cell(words(item.tag, BODY, bold=True, color=colors.line), 'ALIGN="RIGHT"')
    after = [tag if item.tag else _cell(" ")]
    for line in item.subtitle.splitlines() or [""]:
        shown = words(f"{line}   " if item.tag else line, SMALL, color=MUTED)
        rows.append(_row(_cell(shown, LEFT), *after))
        after = [_cell(" ")]
    if item.lines:
        rows.append(_row(_cell(_lines(item), 'COLSPAN="2" ALIGN="CENTER"')))
    if item.note:
        note = "<BR/>".join(words(line, SMALL, color=MUTED) for line in item.note.splitlines())
        rows.append(_row(_cell(note, 'COLSPAN="2" ALIGN="CENTER"')))
    return _table(rows, f'{_PLAIN} CELLPADDING="2"')


def _lines(item: Box) -> str:
    cells = [_cell(_line(line, item.tone)) for line in item.lines]
    rows = [_row(*cells)] if item.kind == "wide" else [_row(cell) for cell in cells]
    return _table(rows, 'BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="0"')


def _line(line: Line, host: str) -> str:
    ink = MUTED if line.is_muted else INK
    cells = [_cell(words(line.count, 15, bold=True, color=ink))] if line.count else []
    cells.append(_cell(words(line.text, BODY, color=ink), LEFT))
    if line.value:
        cells.append(_cell(words(line.value, SMALL, color=MUTED), 'ALIGN="RIGHT"'))
    if not line.inside:
        return _table([_row(*cells)], _outline(line, host))
    own = _table([_row(*cells)], 'BORDER="0" CELLBORDER="0" CELLSPACING="2" CELLPADDING="0"')
    rows = [
        _row(_cell(own)),
        *(_row(_cell(_line(item, line.tone or host))) for item in line.inside),
    ]
    return _table(rows, _outline(line, host))


def _outline(line: Line, host: str) -> str:
    """A rounded border: of the line's own state, else of its card."""
    colors = tone(line.tone or host)
    edge = MUTED if line.is_muted else colors.line
    fill = colors.fill if line.tone else PAPER
    dashed = ",DASHED" if line.is_muted or (line.tone and colors.dashed) else ""
    paint = "" if line.is_muted else f' BGCOLOR="{fill}"'
    style = f'STYLE="ROUNDED{dashed}" COLOR="{edge}"{paint}'
    return f'BORDER="1" CELLBORDER="0" CELLSPACING="2" CELLPADDING="3" {style}'


def strip(item: Strip) -> str:
    """The label of a token strip: contents, counts and ids of its segments."""
    cells = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="5"'
    rows = [
        _row(_cell(_table([_row(*map(_content, line)), _row(*map(_count, line))], cells), LEFT))
        for line in item.lines
    ]
    if item.note:
        note = f"{words(f'{item.title}  ', BODY, bold=True)}{words(item.note, BODY, color=MUTED)}"
        rows.append(_row(_cell(note, f'{LEFT} CELLPADDING="5"')))
    return _table(rows)


def _content(cell: Cell) -> str:
    colors = tone(cell.kind)
    mono = cell.kind in ("text", "token", "image")
    size = 15 if cell.kind == "image" else BODY
    lines = (
        words(line, size, bold=cell.kind == "image", mono=mono) for line in cell.text.splitlines()
    )
    border = f'BORDER="1" COLOR="{colors.line}" BGCOLOR="{colors.fill}" CELLPADDING="7"'
    return _cell("<BR/>".join(lines), f'PORT="{cell.port}" {border}')


def _count(cell: Cell) -> str:
    is_image = cell.kind == "image"
    color = tone(cell.kind).line if is_image else MUTED
    count = words(cell.count, 15 if is_image else SMALL, color=color, bold=is_image)
    lines = [count, *map(_cell_note, cell.notes)]
    return _cell("<BR/>".join(lines), 'VALIGN="TOP"')


def _cell_note(note: str) -> str:
    is_loss = note == LOSS
    return words(note, SMALL, color=INK if is_loss else MUTED, bold=is_loss)


def grid(item: Grid) -> str:
    """The label of a visibility matrix."""
    kinds = [*(kind for kind, _ in item.labels), *item.more]
    width = f'COLSPAN="{len(kinds) + 2}" ALIGN="LEFT" BORDER="0"'
    rows = [_row(_cell(words(item.title, BODY, bold=True), f'{width} CELLPADDING="4"'))]
    blank = _cell("", f'BORDER="0" WIDTH="{_beside(item)}"')
    for (_, name), cells in zip(item.labels, item.rows, strict=True):
        label = _cell(words(name, SMALL, mono=True), 'BORDER="0" ALIGN="RIGHT" CELLPADDING="2"')
        rows.append(_row(label, *map(_square, cells, kinds), blank))
    for line in item.note.splitlines():
        rows.append(_row(_cell(words(line, SMALL, color=MUTED), f'{width} CELLPADDING="2"')))
    return _table(rows, f'BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="0" COLOR="{RULE}"')


def _beside(item: Grid) -> int:
    """Room beside a matrix for longer text below it, which would else stretch its columns."""
    names = max(len(name) for _, name in item.labels)
    taken = names * SMALL * 3 // 5 + SIDE * (len(item.labels) + len(item.more))
    texts = [len(item.title) * BODY, *(len(line) * SMALL for line in item.note.splitlines())]
    return max(0, max(texts) * 3 // 5 - taken)


def _square(state: str, kind: str) -> str:
    if state == "gap":
        return _cell("", 'BORDER="0" WIDTH="12"')
    seen = SEES_IMAGE if kind == "image" else SEES
    fill = {"yes": seen, "no": PAPER, "never": tone("token").fill}[state]
    return _cell("", f'BGCOLOR="{fill}" WIDTH="{SIDE}" HEIGHT="{SIDE}" FIXEDSIZE="TRUE"')


def arrow(lines: tuple[str, ...], color: str) -> str:
    """The label of an arrow: the first line in bold, if it says anything."""
    first, *rest = lines
    # The blank columns keep the text off the arrow, which Graphviz draws at the label's very edge.
    shown = [words(first, BODY, bold=True, color=color)] if first else []
    shown += [words(line, SMALL, color=MUTED) for line in rest]
    blank = _cell(words("  ", SMALL))
    return _table((_row(blank, _cell(line), blank) for line in shown), f'{_PLAIN} CELLPADDING="1"')


def title(figure: Figure) -> str:
    """The label of the whole picture: title, subtitle, legend."""
    rows = [_row(_cell(words(figure.title, 22, bold=True), LEFT))]
    rows.append(_row(_cell(words(figure.subtitle, BODY, color=MUTED), LEFT)))
    if figure.legend:
        rows.append(_row(_cell(_legend(figure.legend), LEFT)))
    rows.append(_row(_cell(words(" ", BODY))))
    return _table(rows, f'{_PLAIN} CELLPADDING="3"')


def _legend(items: tuple[tuple[str, str], ...]) -> str:
    """Swatches with their meaning, side by side."""
    cells = []
    for name, meaning in items:
        colors = tone(name)
        border = f'BORDER="2" COLOR="{colors.line}" BGCOLOR="{colors.fill}"'
        cells += [
            _cell("", f'{border} WIDTH="28" HEIGHT="18" FIXEDSIZE="TRUE"'),
            _cell(words(f"{meaning}  ", BODY), LEFT),
        ]
    return _table([_row(*cells)], 'BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="2"')
