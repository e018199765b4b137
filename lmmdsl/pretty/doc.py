"""Documents and their layout, after Wadler's "A prettier printer".

A document says what to print and where lines may break; `render` chooses the breaks so that lines stay within a
width. A `Group` is printed on one line if it fits, else all its own breaks are taken. A `Remark` (a comment) runs to
the end of its line, so it may be followed only by a break: a group that would put text behind one does not fit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """A break; prints `flat` where the group around it fits on one line."""

    flat: str = " "


@dataclass(frozen=True, slots=True)
class Hard:
    """A break that is always taken; `blank` leaves an empty line."""

    blank: bool = False


@dataclass(frozen=True, slots=True)
class Nest:
    """A document whose breaks are indented by `by` more columns."""

    doc: "Doc"
    by: int = 2


@dataclass(frozen=True, slots=True)
class Group:
    """A document printed on one line if it fits."""

    doc: "Doc"


@dataclass(frozen=True, slots=True)
class Fill:
    """Documents in sequence, as many on each line as fit; those before `start` are printed already."""

    docs: "tuple[Doc, ...]"
    start: int = 0


@dataclass(frozen=True, slots=True)
class IfBroken:
    """One text where the group around it is broken, another where it is on one line."""

    broken: str
    flat: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment; `column` is where it stood in the source, `own` whether it had a line of its own."""

    text: str
    column: int
    own: bool


# A string holds no line break; a tuple is its parts, one after another.
Doc = str | tuple["Doc", ...] | Line | Hard | Nest | Group | Fill | IfBroken | Remark


@dataclass(slots=True)
class Row:
    """A printed line: its text, and the comments at its end with the columns they had."""

    text: str = ""
    remarks: list[Remark] = field(default_factory=list)

    def __str__(self) -> str:
        notes = "  ".join(remark.text for remark in self.remarks)
        if not notes:
            return self.text.rstrip()
        return f"{self.text.rstrip()}  {notes}" if self.text.strip() else self.text + notes


_Todo = tuple[int, bool, Doc]  # indentation, whether breaks are taken, what to print


def separated(docs: Iterable[Doc], separator: Doc) -> Doc:
    """Documents with `separator` between them."""
    found: list[Doc] = []
    for doc in docs:
        found += [separator, doc] if found else [doc]
    return tuple(found)


def flat_width(doc: Doc, limit: int = 1000) -> int | None:
    """Width on one line; None for a document that must break or is wider than `limit`."""
    left = _room([(0, False, doc)], limit)
    return None if left is None else limit - left


def render(doc: Doc, width: int) -> list[Row]:
    """Choose the breaks; gives the lines."""
    rows = [Row()]
    todo: list[_Todo] = [(0, True, doc)]
    while todo:
        indent, broken, item = todo.pop()
        match item:
            case tuple() | Nest():
                todo += _parts(indent, broken, item)
            case Group():
                todo.append((indent, False, item.doc))
                if not _fits(todo, rows[-1], width):
                    todo[-1] = (indent, True, item.doc)
            case Fill() if not broken:
                todo.append((indent, False, separated(item.docs, Line())))
            case Fill():
                todo += _fill(item, indent, rows[-1], width)
            case _:
                _put(rows, indent, broken, item)
    return rows


def _parts(indent: int, broken: bool, item: tuple[Doc, ...] | Nest) -> list[_Todo]:
    if isinstance(item, Nest):
        return [(indent + item.by, broken, item.doc)]
    return [(indent, broken, part) for part in reversed(item)]


def _put(
    rows: list[Row], indent: int, broken: bool, item: str | Line | Hard | IfBroken | Remark
) -> None:
    """Print text or a break."""
    match item:
        case Remark():
            rows[-1].remarks.append(item)
            if item.own and not rows[-1].text.strip():
                rows.append(Row(" " * indent))
        case Hard(blank=True):
            rows += [Row(), Row(" " * indent)]
        case Hard():
            rows.append(Row(" " * indent))
        case Line() if broken:
            rows.append(Row(" " * indent))
        case _:
            rows[-1].text += _text(item, broken)


def _text(item: str | Line | IfBroken, broken: bool) -> str:
    """What stands on the line for a text or a break that is not taken."""
    match item:
        case str():
            return item
        case Line():
            return item.flat
        case IfBroken():
            return item.broken if broken else item.flat


def _fill(fill: Fill, indent: int, row: Row, width: int) -> list[_Todo]:
    """The first document, then a break where the second does not fit beside it, then the rest."""
    first, *following = fill.docs[fill.start : fill.start + 2]
    if not following:
        return [(indent, True, Group(first))]
    beside = _fits([(indent, False, (first, " ", following[0]))], row, width)
    after = (indent, True, Fill(fill.docs, fill.start + 1))
    return [after, (indent, not beside, Line()), (indent, True, Group(first))]


def _fits(todo: Sequence[_Todo], row: Row, width: int) -> bool:
    return not row.remarks and _room(todo, width - len(row.text)) is not None


def _room(todo: Sequence[_Todo], room: int) -> int | None:
    """Columns left at the first taken break; None when the text before it does not fit."""
    below = len(todo) - 1
    stack = [todo[-1]]
    remarked = False
    while room >= 0:
        if not stack:
            below -= 1
            if below < 0:
                return room
            stack.append(todo[below])
        indent, broken, item = stack.pop()
        match item:
            case tuple() | Nest() | Group() | Fill():
                stack += _measured(indent, broken, item)
            case Hard():
                # Behind the group in question: whatever holds the break will be broken there.
                return room if broken or below < len(todo) - 1 else None
            case Line() if broken:
                return room
            case Remark():
                if item.own:
                    return None
                remarked = True
            case _:
                text = _text(item, broken)
                if remarked and text not in ("", ","):
                    return None
                room -= len(text)
    return None


def _measured(
    indent: int, broken: bool, item: tuple[Doc, ...] | Nest | Group | Fill
) -> list[_Todo]:
    """The parts of a document as they stand if all its groups fit."""
    match item:
        case Group():
            return [(indent, False, item.doc)]
        case Fill() if broken:
            return [(indent, True, Line()), (indent, False, item.docs[item.start])]
        case Fill():
            return [(indent, False, separated(item.docs, Line()))]
        case _:
            return _parts(indent, broken, item)
