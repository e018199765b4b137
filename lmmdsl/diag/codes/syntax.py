"""E01: text that is not the language."""

import re

from lmmdsl.diag.model import Label, Located, diagnostic
from lmmdsl.diag.suggest import nearest
from lmmdsl.text.source import Span

_MOST_EXPECTED = 6
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_MARKS = "+ - * / // % @ ** == != < > <= >= |> .. and or not"
_OPERATORS = frozenset(f"`{mark}`" for mark in _MARKS.split())
_DECLARATION = re.compile(r"^(?:block|model|fn|from)\b", re.MULTILINE)
_BRACKET = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\\n]|\\[^\n])*"|#[^\n]*|[()\[\]{}]')


@diagnostic("E0101", "syntax", "the text does not parse")
class SyntaxProblem(Located):
    """Something stands where the grammar allows something else.

    The parser stops at the first word that cannot continue the declaration. Each top-level
    declaration is parsed on its own, so the others are still checked.

    Wrong:
        encoder vision ClipVit(width = 1024)
    Right:
        encoder vision: ClipVit(width = 1024)
    """

    found: str
    expected: tuple[str, ...]

    def message(self) -> str:
        """Say what was found."""
        if not self.found:
            return "the text ends too early"
        if self._ends:
            return f"{self.found} comes too early"
        return f"`{_shown(self.found)}` cannot stand here"

    def here(self) -> str:
        """Say what is likely missing, else list what could stand here, if that is short."""
        if near := self._near():
            return f"did you mean `{near}`?"
        if self._unclosed:
            return f"expected `{_CLOSING[self._unclosed.text]}`" if self._ends else ""
        if missing := self._missing:
            return f"a {missing} may be missing in front of this"
        return f"expected {_either(self._choices)}" if self._is_short else ""

    def labels(self) -> tuple[Label, ...]:
        """Mark the bracket that is still open."""
        opening = self._unclosed
        return (Label(opening, f"this `{opening.text}` is not closed"),) if opening else ()

    def notes(self) -> tuple[str, ...]:
        """List what could stand here when the list is long."""
        told = self._near() or self._is_short or self._unclosed or self._missing
        return () if told else (f"one of these could stand here: {', '.join(self._choices[:16])}",)

    def helps(self) -> tuple[str, ...]:
        """Name the quotes that the language has."""
        return ("strings stand in double quotes",) if self.found in ("'", "`") else ()

    @property
    def _ends(self) -> bool:
        return not self.found or self.found.startswith("the end")

    @property
    def _choices(self) -> tuple[str, ...]:
        plain = tuple(choice for choice in self.expected if choice not in _OPERATORS)
        has_sign_only = len(self.expected) - len(plain) <= 1
        return plain if has_sign_only and plain else (*plain, "an operator")

    @property
    def _is_short(self) -> bool:
        return 0 < len(self._choices) <= _MOST_EXPECTED

    @property
    def _unclosed(self) -> Span | None:
        """The innermost open bracket, when it should have ended before this."""
        opening = _open_bracket(self.at)
        if opening is None or f"`{_CLOSING[opening.text]}`" not in self.expected:
            return None
        starts_line = not self.at.file.line(self.at.line)[: _column(self.at)].strip()
        return opening if self._ends or starts_line or self.found in _CLOSING.values() else None

    @property
    def _missing(self) -> str:
        """What to put between two values that follow each other."""
        if self._ends or not (self.found[0].isalnum() or self.found[0] in '_"'):
            return ""
        marks = [mark for mark in ("`,`", "`=`") if mark in self.expected]
        if "`=`" in marks and self.found[0].isalpha():
            marks.remove("`=`")
        return " or ".join(marks) if "`,`" in marks else ""

    def _near(self) -> str:
        if not self.found.isalpha():
            return ""
        words = (e.strip("`") for e in self.expected if e.startswith("`"))
        near = nearest(self.found, (w for w in words if w.isalpha()))
        return near[0] if near else ""


def _column(span: Span) -> int:
    return span.file.position(span.start)[1] - 1


def _open_bracket(at: Span) -> Span | None:
    """The innermost bracket that is open at a place, counted from the start of its declaration."""
    text = at.file.text
    first = max((m.start() for m in _DECLARATION.finditer(text, 0, at.start)), default=0)
    opened: list[int] = []
    for match in _BRACKET.finditer(text, first, at.start):
        if match.group() in _CLOSING:
            opened.append(match.start())
        elif match.group() in _CLOSING.values() and opened:
            opened.pop()
    return Span(at.file, opened[-1], opened[-1] + 1) if opened else None


def _either(choices: tuple[str, ...]) -> str:
    head, last = choices[:-1], choices[-1]
    return f"{', '.join(head)} or {last}" if head else last


def _shown(found: str) -> str:
    first = found.splitlines()[0] if found.splitlines() else found
    return first if len(first) <= 40 else first[:37] + "..."


@diagnostic("E0102", "too-large", "the text is larger than the compiler reads")
class TooLarge(Located):
    """A file, a list or a nesting of brackets goes beyond the limit.

    Specs come from strangers, so the compiler bounds what it reads. A model fits in a fraction of
    these limits: write repeated layers as a stack, and long tables of names with a `naming` section
    in the block.

    Wrong:
        layers: [Layer(width), Layer(width), ... four hundred times ...]
    Right:
        layers: 400 * Layer(width)
    """

    what: str
    limit: int

    def message(self) -> str:
        """Name the limit."""
        return f"more than {self.limit} {self.what}"


@diagnostic("E0103", "bad-literal", "a literal has no value")
class BadLiteral(Located):
    r"""A number or a string is written in a way that has no value.

    Strings know the escapes \n, \t, \", \\ and \uXXXX. Numbers may hold underscores between digits.

    Wrong:
        source "arXiv:2304.08485\q"
    Right:
        source "arXiv:2304.08485"
    """

    problem: str

    def message(self) -> str:
        """Pass the problem on."""
        return self.problem
