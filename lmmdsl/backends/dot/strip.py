"""The token strip of a layout: every segment a cell, the visual span with its count."""

import textwrap
from collections.abc import Sequence
from itertools import takewhile

from lmmdsl.backends.dot.figure import Cell, Strip
from lmmdsl.backends.dot.label import LOSS
from lmmdsl.backends.dot.rows import strip_lines
from lmmdsl.backends.dot.signs import TIMES
from lmmdsl.passes.ledger import Entry, Ledger
from lmmdsl.text.amount import exact

WIDTH, LINES = 15, 3  # of a text cell, in characters and lines
MAX_CELLS = 24


def make_strip(ledger: Ledger, name: str) -> Strip:
    """Draw a ledger."""
    kept = _kept(ledger.entries)
    cells = []
    for place, entry in enumerate(ledger.entries):
        if place in kept:
            cells.append(_cell(place, entry))
        elif place - 1 in kept or place == 0:
            run = takewhile(lambda k: k not in kept, range(place, len(ledger.entries)))
            cells.append(Cell(f"more{place}", "slot", f"{sum(1 for _ in run)} more", ""))
    return Strip(name, f"layout {ledger.layout}:", strip_lines(cells), _account(ledger))


def _kept(entries: Sequence[Entry]) -> frozenset[int]:
    """Which segments are drawn: images and what is trained on, and the first of the others."""
    told = [place for place, entry in enumerate(entries) if entry.kind == "image" or entry.is_loss]
    others = [place for place in range(len(entries)) if place not in told]
    return frozenset([*told, *others[: max(MAX_CELLS - len(told), 0)]])


def image_ports(ledger: Ledger, value: str) -> tuple[str, ...]:
    """Cells that the tokens of a visual value fill; "" is the value that is shown first."""
    entries = ledger.entries
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
