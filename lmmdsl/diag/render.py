"""Diagnostics as text for people.

    error[E0401]: axis `i` of `weight` is 1408, not 1024 in `linear`
      --> specs/demo.lmm:31:16
       |
    12 |   vision: Vit(width = 1024)
       |                       ---- 1024 comes from here
    31 |   connect: Mlp(in = 1408, out = llm.width)
       |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ while instantiating `connect` here
       |
       = note: bound so far: i = 1024, o = 4096
    help: take the width from the encoder

The primary file comes first; marks in other files follow behind `:::`. Colour only when asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmmdsl.diag.model import Diagnostic, Edit, Severity, Suggestion
from lmmdsl.diag.palette import AnsiPalette, Palette
from lmmdsl.diag.snippet import Mark, clean, margin, numbered, shown_line, snippet
from lmmdsl.text.source import SourceFile, Span

MOST_LEVELS = 3


@dataclass(frozen=True, slots=True)
class _Page:
    """What is the same for all lines of one message."""

    gutter: int
    palette: Palette

    def margin(self) -> str:
        return margin(self.gutter, self.palette)

    def arrow(self, arrow: str, span: Span) -> str:
        return f"{' ' * self.gutter}{self.palette.gutter(arrow)} {clean(str(span))}"


def render_one(diagnostic: Diagnostic, *, palette: type[Palette] = Palette) -> str:
    """One diagnostic as text, without a line break at the end."""
    colours = palette(diagnostic.severity)
    marks = _marks(diagnostic)
    edits = _shown_edits(diagnostic)
    page = _Page(_gutter_width(marks, edits), colours)
    head = colours.head(f"{diagnostic.severity.value}[{diagnostic.code}]")
    lines = [f"{head}: {colours.strong(clean(diagnostic.message()))}"]
    lines += _snippets(marks, page)
    tail = _notes(diagnostic, page) + _advice(diagnostic, edits, page)
    if marks and tail:
        lines.append(page.margin())
    return "\n".join(lines + tail)


def render(diagnostics: Sequence[Diagnostic], *, palette: type[Palette] = Palette) -> str:
    """All diagnostics, blank lines between them, the count at the end; "" when there are none."""
    if not diagnostics:
        return ""
    texts = [render_one(diagnostic, palette=palette) for diagnostic in diagnostics]
    return "\n\n".join([*texts, summary(diagnostics)]) + "\n"


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """The count, in words: "2 errors, 1 warning"."""
    severities = [diagnostic.severity for diagnostic in diagnostics]
    counts = [(severities.count(kind), kind.value) for kind in Severity]
    return ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for n, kind in counts if n)


def palette_for(*, is_terminal: bool) -> type[Palette]:
    """Colours for terminals, none elsewhere."""
    return AnsiPalette if is_terminal else Palette


def _marks(diagnostic: Diagnostic) -> list[Mark]:
    """The primary mark first, then labels and levels of instantiation, one mark per span."""
    if diagnostic.at is None:
        return []
    levels = dict(diagnostic.trace)
    if diagnostic.lifted is None:
        marks = [Mark(diagnostic.at, diagnostic.here(), primary=True)]
    else:
        text = levels.get(diagnostic.lifted, "")
        marks = [
            Mark(diagnostic.lifted, text, primary=True),
            Mark(diagnostic.at, diagnostic.here()),
        ]
    marks += [Mark(label.span, label.text) for label in diagnostic.labels()]
    marks += [Mark(span, text) for span, text in _shown_levels(diagnostic)]
    unique: dict[Span, Mark] = {}
    for mark in marks:
        unique.setdefault(mark.span, mark)
    return list(unique.values())


def _shown_levels(diagnostic: Diagnostic) -> list[tuple[Span, str]]:
    """The outermost level and those nearest to the mistake."""
    levels = [level for level in diagnostic.trace if level[0] != diagnostic.lifted]
    return [*levels[:1], *levels[1:][1 - MOST_LEVELS :]]


def _gutter_width(marks: Iterable[Mark], edits: Iterable[Edit]) -> int:
    lines = [mark.span.line for mark in marks] + [edit.span.line for edit in edits]
    return len(str(max(lines, default=1)))


def _snippets(marks: list[Mark], page: _Page) -> list[str]:
    by_file: dict[SourceFile, list[Mark]] = {}
    for mark in marks:
        by_file.setdefault(mark.span.file, []).append(mark)
    lines: list[str] = []
    for index, found in enumerate(by_file.values()):
        lines += [page.arrow(":::" if index else "-->", found[0].span), page.margin()]
        lines += snippet(found, page.gutter, page.palette)
    return lines


def _notes(diagnostic: Diagnostic, page: _Page) -> list[str]:
    start = f"{' ' * page.gutter} {page.palette.gutter('=')} note: "
    rest = " " * (page.gutter + 9)
    lines: list[str] = []
    for note in diagnostic.notes():
        first, *more = note.splitlines()
        lines.append(start + clean(first))
        lines += [rest + clean(line) for line in more]
    return lines


def _advice(diagnostic: Diagnostic, edits: Sequence[Edit], page: _Page) -> list[str]:
    """The first fix with the line as it would read, else the advice in words."""
    word = page.palette.help("help:")
    fix = _first_fix(diagnostic)
    if fix is None:
        return [line for text in diagnostic.helps() for line in _worded(word, text)]
    lines = [f"{word} {clean(fix.title)}"]
    if edits:
        lines += [page.margin(), *_edited_lines(edits, page)]
    return lines


def _worded(word: str, text: str) -> list[str]:
    first, *more = text.splitlines()
    return [f"{word} {clean(first)}", *map(clean, more)]


def _first_fix(diagnostic: Diagnostic) -> Suggestion | None:
    return next(iter(diagnostic.fixes()), None)


def _shown_edits(diagnostic: Diagnostic) -> tuple[Edit, ...]:
    fix = _first_fix(diagnostic)
    return fix.edits if fix else ()


def _edited_lines(edits: Sequence[Edit], page: _Page) -> list[str]:
    """The lines that the edits touch, as they would read."""
    by_line: dict[tuple[SourceFile, int], list[Edit]] = {}
    for edit in edits:
        by_line.setdefault((edit.span.file, edit.span.line), []).append(edit)
    lines: list[str] = []
    for (file, number), found in by_line.items():
        for offset, text in enumerate(_apply(file, number, found).splitlines()):
            lines.append(numbered(number + offset, shown_line(text), page.gutter, page.palette))
    return lines


def _apply(file: SourceFile, number: int, edits: Iterable[Edit]) -> str:
    start, text = file.line_starts[number - 1], file.line(number)
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        left, right = edit.span.start - start, edit.span.end - start
        text = text[:left] + edit.text + text[right:]
    return text
