"""From the name of a spec to a checked program.

Takes a path (or a text), a variant and settings; gives a `Checked`: the program, if there are no errors, and
everything that was reported. A `Session` remembers what it checked and looks again only when a source has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lmmdsl.diag.codes.names import NoModel
from lmmdsl.diag.model import Diagnostic, Severity
from lmmdsl.diag.sink import Sink
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.files import Files
from lmmdsl.driver.options import parse_overrides
from lmmdsl.graph.program import Program
from lmmdsl.sema.analyse import analyse
from lmmdsl.text.source import SourceFile, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to check: a spec, one of its variants, and changed parameters as expressions of the language."""

    path: str
    variant: str | None = None
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What checking gave. Without errors and without `program` the file is a module of blocks."""

    source: SourceFile | None
    program: Program | None
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[Path, str | None] = field(default_factory=dict)

    @property
    def has_errors(self) -> bool:
        """Whether the compiler must stop here."""
        return any(d.severity is Severity.ERROR for d in self.diagnostics)


class Session:
    """Checks specs. `overlay` holds texts that stand for files, such as the open documents of an editor."""

    def __init__(self, overlay: Mapping[Path, str] | None = None) -> None:
        self._overlay = dict(overlay or {})
        self._known: dict[Request, Checked] = {}

    def check(self, request: Request) -> Checked:
        """Check a spec; gives the earlier result while none of its sources has changed."""
        known = self._known.get(request)
        if known is None or not self._is_fresh(known):
            known = self._check(request)
            self._known[request] = known
        return known

    def program(self, request: Request) -> Program:
        """The checked program of a spec; raises `CompileFailed`.

        Reports:
            E0212 when the file defines no model, beside what checking reports.
        """
        checked = self.check(request)
        if checked.has_errors:
            raise CompileFailed(checked.diagnostics)
        if checked.program is None:
            source = checked.source or SourceFile(request.path, "")
            raise CompileFailed((*checked.diagnostics, NoModel(at=Span(source, 0, 0))))
        return checked.program

    def _check(self, request: Request) -> Checked:
        files = Files(self._overlay)
        sink = Sink(files.is_library)
        source = files.open(request.path, sink)
        return _analyse(source, files, sink, request)

    def _is_fresh(self, known: Checked) -> bool:
        files = Files(self._overlay)
        quiet = Sink()
        texts = ((files.open(str(path), quiet), text) for path, text in known.texts.items())
        return all((source and source.text) == text for source, text in texts)


def check_text(text: str, request: Request) -> Checked:
    """Check a text that has no file, named `request.path` in messages; it imports from the working folder."""
    files = Files()
    source = files.hold(request.path, text, Path.cwd())
    return _analyse(source, files, Sink(files.is_library), request)


def _analyse(source: SourceFile | None, files: Files, sink: Sink, request: Request) -> Checked:
    program = None
    if source is not None:
        overrides = parse_overrides(request.settings, sink)
        program = analyse(source, files, variant=request.variant, overrides=overrides, sink=sink)
    found = tuple(d for d in sink.diagnostics if not isinstance(d, NoModel))
    return Checked(source=source, program=program, diagnostics=found, texts=files.texts)
