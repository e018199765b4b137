"""A picture before it is written as DOT or Mermaid: boxes, arrows, frames, and the token strip.

Everything holds plain text; escaping is the business of the writers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One row inside a box: `count` times `text`, with a `value` at the right; muted where it is not used.

    `inside` are rows within it, such as what an injection adds; without a `tone` it has that of the box.
    """

    text: str
    value: str = ""
    count: str = ""
    is_muted: bool = False
    tone: str = ""
    inside: "tuple[Line, ...]" = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A part, an operation or a piece of data.

    Attributes:
        id: unique, letters, digits, `_` and `.`.
        kind: `card`, `wide` (a card whose lines lie side by side), `op`, `data`, or `head` of a frame.
        title: the big text.
        subtitle: small text below.
        value: at the right of the title, such as a number of parameters.
        tag: a word that marks a state.
        tone: which colours.
        lines: rows inside.
        note: small text at the bottom.
    """

    id: str
    kind: str
    title: str
    subtitle: str = ""
    value: str = ""
    tag: str = ""
    tone: str = "part"
    lines: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One segment of a token strip; `port` names it for arrows."""

    port: str
    kind: str
    text: str
    count: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Strip:
    """The LLM's input sequence, read from left to right, line by line."""

    id: str
    title: str
    lines: tuple[tuple[Cell, ...], ...]
    note: str = ""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Of all lines."""
        return tuple(cell for line in self.lines for cell in line)


@dataclass(frozen=True, slots=True)
class Grid:
    """Who sees whom: `rows[i][j]` says how token i sees token j (`yes`, `no`, `never`; `gap` between columns).

    `more` are the kinds of columns behind those of the tokens.
    """

    id: str
    title: str
    labels: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    more: tuple[str, ...] = ()


Item = Box | Strip | Grid


@dataclass(frozen=True, slots=True)
class Arrow:
    """Data that flows. `label` is its first line in bold, then small ones; `port` is a cell of a strip."""

    source: str
    target: str
    label: tuple[str, ...] = ()
    port: str = ""
    is_visual: bool = False
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A rounded outline around boxes; the first of them is its head."""

    id: str
    title: str
    items: tuple[str, ...]
    tone: str = "part"


@dataclass(frozen=True, slots=True)
class Figure:
    """A whole picture.

    `rows` lists boxes that lie side by side, from left to right; `left` those at the left edge, from the top; `legend`
    pairs tones with what they mean.
    """

    title: str
    subtitle: str
    items: tuple[Item, ...]
    arrows: tuple[Arrow, ...]
    frames: tuple[Frame, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    left: tuple[str, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    name: str = "figure"
