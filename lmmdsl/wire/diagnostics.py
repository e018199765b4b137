"""Diagnostics as JSON (`lmmc check --format json`).

Lines and columns count from 1, columns in code points; offsets count code points from 0; ends are
exclusive. Keys may be added under the same `version`; a change of meaning raises it.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from lmmdsl.diag.model import Diagnostic, Edit, Severity, Suggestion
from lmmdsl.text.source import Span
from lmmdsl.version import __version__


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Position(_Model):
    """A place in a text."""

    line: int
    column: int
    offset: int


class Location(_Model):
    """A range of a file; `end` is exclusive."""

    file: str
    start: Position
    end: Position


class LabelMessage(_Model):
    """A place and what it has to do with the problem."""

    location: Location
    text: str


class EditMessage(_Model):
    """Replace the text at `location` by `text`."""

    location: Location
    text: str


class FixMessage(_Model):
    """Edits that belong together; `sure` ones are what `lmmc fix` applies."""

    title: str
    applicability: Literal["sure", "likely", "placeholder"]
    edits: tuple[EditMessage, ...]


class DiagnosticMessage(_Model):
    """One diagnostic. `location` is where the user can act; null where no text is at fault."""

    code: str
    slug: str
    severity: Literal["error", "warning", "info"]
    message: str
    location: Location | None
    labels: tuple[LabelMessage, ...]
    trace: tuple[LabelMessage, ...]
    notes: tuple[str, ...]
    helps: tuple[str, ...]
    fixes: tuple[FixMessage, ...]


class Report(_Model):
    """Everything that one run reported about some specs."""

    version: Literal[1] = 1
    tool: Literal["lmmc"] = "lmmc"
    tool_version: str = __version__
    specs: tuple[str, ...]
    errors: int
    warnings: int
    diagnostics: tuple[DiagnosticMessage, ...]

    @classmethod
    def of(cls, specs: Sequence[str], diagnostics: Sequence[Diagnostic]) -> "Report":
        """Turn diagnostics into the JSON document."""
        severities = [diagnostic.severity for diagnostic in diagnostics]
        return cls(
            specs=tuple(specs),
            errors=severities.count(Severity.ERROR),
            warnings=severities.count(Severity.WARNING),
            diagnostics=tuple(map(to_message, diagnostics)),
        )

    def text(self) -> str:
        """The document as text."""
        return self.model_dump_json(indent=2) + "\n"


def to_message(diagnostic: Diagnostic) -> DiagnosticMessage:
    """Turn one diagnostic into its JSON form."""
    return DiagnosticMessage(
        code=diagnostic.code,
        slug=diagnostic.slug,
        severity=diagnostic.severity.value,
        message=diagnostic.message(),
        location=to_location(diagnostic.primary) if diagnostic.primary else None,
        labels=_labelled(places(diagnostic)),
        trace=_labelled(diagnostic.trace),
        notes=diagnostic.notes(),
        helps=diagnostic.helps(),
        fixes=tuple(map(_fix, diagnostic.fixes())),
    )


def to_location(span: Span) -> Location:
    """Turn a span into lines, columns and offsets."""
    return Location(
        file=span.file.name, start=_position(span, span.start), end=_position(span, span.end)
    )


def places(diagnostic: Diagnostic) -> tuple[tuple[Span, str], ...]:
    """The labelled places: what is wrong, then the rest."""
    at = ((diagnostic.at, diagnostic.here()),) if diagnostic.at else ()
    return at + tuple((label.span, label.text) for label in diagnostic.labels())


def _position(span: Span, offset: int) -> Position:
    line, column = span.file.position(offset)
    return Position(line=line, column=column, offset=offset)


def _labelled(found: Iterable[tuple[Span, str]]) -> tuple[LabelMessage, ...]:
    return tuple(LabelMessage(location=to_location(span), text=text) for span, text in found)


def _fix(fix: Suggestion) -> FixMessage:
    return FixMessage(
        title=fix.title,
        applicability=fix.applicability.value,
        edits=tuple(map(_edit, fix.edits)),
    )


def _edit(edit: Edit) -> EditMessage:
    return EditMessage(location=to_location(edit.span), text=edit.text)
