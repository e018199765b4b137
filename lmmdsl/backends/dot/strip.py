"""The token strip of a layout: every segment a cell, the visual span with its count."""

import textwrap

from lmmdsl.backends.dot.figure import Cell, Strip
from lmmdsl.backends.dot.label import LOSS
from lmmdsl.backends.dot.signs import TIMES
from lmmdsl.passes.ledger import Entry, Ledger
from lmmdsl.text.amount import exact

WIDTH, LINES = 15, 3  # of a text cell, in characters and lines
MAX_CELLS = 12


def make_strip(ledger: Ledger, name: str) -> Strip:
    """Draw a ledger."""
    entries = ledger.entries
    cells = [_cell(place, entry) for place, entry in enumerate(entries[:MAX_CELLS])]
    if len(entries) > MAX_CELLS:
        cells.append(Cell("more", "slot", f"{len(entries) - MAX_CELLS} more", ""))
    return Strip(name, f"layout {ledger.layout}:", tuple(cells), _account(ledger))


def image_ports(ledger: Ledger, value: str) -> tuple[str, ...]:
    """Cells that the tokens of a visual value fill; "" is the value that is shown first."""
    entries = ledger.entries[:MAX_CELLS]
    places = [place for place, entry in enumerate(entries) if entry.kind == "image"]
    wanted = value or next((entries[place].value for place in places), "")
    return tuple(f"s{place}" for place in places if entries[place].value == wanted)


def _cell(place: int, entry: Entry) -> Cell:
    port = f"s{place}"
    repeats = "repeats" if entry.is_repeated else ""
    match entry.kind:
        case "image":
            return Cell(
                port,
                "image",
                f" {entry.text} ",
                f"{TIMES} {entry.tokens}",
                _notes(f"id {entry.id}", repeats),
            )
        case "token":
            return Cell(port, "token", entry.text, "1", _notes(f"id {entry.id}", repeats))
        case "slot":
            count = f"\u2264 {entry.limit}" if entry.limit is not None else "text"
            notes = _notes(LOSS if entry.is_loss else "", repeats)
            return Cell(port, "slot", f"{{{entry.text}}}", count, notes)
        case "turn":
            return Cell(port, "slot", entry.text, "")
        case _:
            return Cell(port, "text", _wrap(entry.text), "text", _notes(repeats))


def _notes(*lines: str) -> tuple[str, ...]:
    return tuple(line for line in lines if line)


def _wrap(text: str) -> str:
    """A text in a few short lines, its middle left out if need be; line breaks show as a sign."""
    shown = text.replace("\n", "\u21b5").strip() or text
    lines = textwrap.wrap(shown, WIDTH) or [shown]
    if len(lines) <= LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: LINES - 1], f"\u2026 {lines[-1]}"])


def _account(ledger: Ledger) -> str:
    if ledger.context is None:
        return ""
    visual = ledger.visual if ledger.visual.is_const else f"({ledger.visual})"
    start = f"context {exact(ledger.context)} \u2212 {visual} visual \u2212 {ledger.special} named"
    return start if ledger.left is None else f"{start} = {exact(ledger.left)} left for text"
