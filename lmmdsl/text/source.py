"""Source files and spans.

A `SourceFile` owns the text and its line index; a `Span` is a half-open range of code points in one file.
Positions are converted late: 1-based lines and code-point columns for people, UTF-16 columns for editors.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True, eq=False)
class SourceFile:
    """One source text; `name` is what messages print (a path as the user gave it)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets at which each line starts."""
        return [0] + [i + 1 for i, char in enumerate(self.text) if char == "\n"]

    def position(self, offset: int) -> tuple[int, int]:
        """1-based line and code-point column of an offset."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a 1-based line, without its line break."""
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range `[start, end)` of code points in `file`."""

    file: SourceFile
    start: int
    end: int

    @property
    def text(self) -> str:
        """The source text under the span."""
        return self.file.text[self.start : self.end]

    @property
    def line(self) -> int:
        """1-based line of the first character."""
        return self.file.position(self.start)[0]

    def to(self, other: "Span") -> "Span":
        """The span from the start of this one to the end of `other`."""
        return Span(self.file, self.start, other.end)

    def __str__(self) -> str:
        line, column = self.file.position(self.start)
        return f"{self.file.name}:{line}:{column}"
