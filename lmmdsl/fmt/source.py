"""Text to text in the canonical layout.

Tokens and comments stay, in their order (only optional commas and semicolons come and go), so the meaning does too.
Formatting a formatted text changes nothing.
"""

from lmmdsl.diag.model import Diagnostic
from lmmdsl.diag.sink import Sink
from lmmdsl.fmt.align import align_remarks
from lmmdsl.fmt.items import Items
from lmmdsl.pretty.doc import render
from lmmdsl.syntax.parse import parse_module
from lmmdsl.syntax.trivia import concrete
from lmmdsl.text.source import SourceFile

WIDTH = 120
# A comment in an odd place moves to the end of its line, which may change how the next pass breaks that line.
_MAX_PASSES = 8


class DoesNotParse(ValueError):
    """The text is not the language, so it has no layout.

    Attributes:
        diagnostics: what is wrong with it, in the order of the source.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


def format_source(text: str, name: str = "<text>") -> str:
    """Give a source text its canonical layout; raises `DoesNotParse`. `name` is what diagnostics call the text."""
    clean = text.removeprefix("\ufeff").replace("\r\n", "\n")
    _require_parse(SourceFile(name, clean))
    for _ in range(_MAX_PASSES):
        formatted = _format_once(clean)
        if formatted == clean:
            break
        clean = formatted
    return clean


def _require_parse(file: SourceFile) -> None:
    sink = Sink()
    parse_module(file, sink)
    if sink.has_errors:
        raise DoesNotParse(sink.diagnostics)


def _format_once(text: str) -> str:
    rows = render(Items().file(concrete(SourceFile("", text))), WIDTH)
    lines = align_remarks(rows)
    return "\n".join(lines).strip("\n") + "\n" if any(lines) else ""
