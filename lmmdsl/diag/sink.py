"""Where diagnostics go: collected, without repeats, in the order of the source.

While a part is instantiated the elaborator opens a `tracing` level; every diagnostic added below
carries the levels above it. A diagnostic inside the library is lifted to the innermost level
outside it, where the user can act.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from lmmdsl.diag.model import Diagnostic, Severity, Trace
from lmmdsl.text.source import SourceFile, Span


def _none_is_library(file: SourceFile) -> bool:
    return False


class Sink:
    """Collects diagnostics; `is_library` tells files that the user cannot change."""

    def __init__(self, is_library: Callable[[SourceFile], bool] = _none_is_library) -> None:
        self._is_library = is_library
        self._found: dict[tuple[object, ...], Diagnostic] = {}
        self._trace: Trace = ()

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic, unless the same was said about the same place."""
        if not diagnostic.trace:
            diagnostic = replace(diagnostic, trace=self._trace)
        if diagnostic.lifted is None:
            diagnostic = replace(diagnostic, lifted=self._lift(diagnostic))
        # One number that breaks several lines of a library block is one mistake.
        key = (diagnostic.code, diagnostic.primary, diagnostic.message())
        self._found.setdefault(key, diagnostic)

    def extend(self, diagnostics: "tuple[Diagnostic, ...]") -> None:
        """Add several."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    @contextmanager
    def tracing(self, span: Span, text: str) -> Iterator[None]:
        """Open a level: `with sink.tracing(part.span, "while instantiating `proj` here"):`."""
        before = self._trace
        self._trace = (*before, (span, text))
        try:
            yield
        finally:
            self._trace = before

    @property
    def trace(self) -> Trace:
        """The levels open now, outermost first."""
        return self._trace

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything found, sorted by file, offset and code."""
        return tuple(sorted(self._found.values(), key=_order))

    @property
    def has_errors(self) -> bool:
        """Whether any diagnostic is an error."""
        return any(d.severity is Severity.ERROR for d in self._found.values())

    @property
    def errors(self) -> int:
        """Number of errors so far; compare before and after a step to see whether it failed."""
        return sum(d.severity is Severity.ERROR for d in self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def _lift(self, diagnostic: Diagnostic) -> Span | None:
        if diagnostic.at is None or not self._is_library(diagnostic.at.file):
            return None
        levels = (span for span, _ in reversed(diagnostic.trace))
        return next((span for span in levels if not self._is_library(span.file)), None)


def _order(diagnostic: Diagnostic) -> tuple[str, int, str]:
    span = diagnostic.primary
    return (span.file.name, span.start, diagnostic.code) if span else ("", 0, diagnostic.code)
