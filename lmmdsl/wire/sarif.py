"""Diagnostics as SARIF 2.1.0 (`lmmc check --format sarif`), for code scanning services and editors.

Source: OASIS, Static Analysis Results Interchange Format 2.1.0. Columns are code points
(`columnKind`); rules come from the registry, so a consumer can show the explanation of a code
beside each result.
"""

import inspect
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from lmmdsl.diag.model import Diagnostic, Edit, Severity, Suggestion
from lmmdsl.diag.registry import registry
from lmmdsl.text.source import SourceFile, Span
from lmmdsl.version import __version__
from lmmdsl.wire.diagnostics import places

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

Level = Literal["error", "warning", "note"]
_LEVELS: dict[Severity, Level] = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
}


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Message(_Model):
    """Text."""

    text: str


class ArtifactLocation(_Model):
    """A file."""

    uri: str


class Region(_Model):
    """A range: lines and columns from 1, the end column exclusive."""

    start_line: int
    start_column: int
    end_line: int
    end_column: int
    char_offset: int
    char_length: int


class PhysicalLocation(_Model):
    """A range of a file."""

    artifact_location: ArtifactLocation
    region: Region


class Location(_Model):
    """A labelled place; `id` numbers related places of one result."""

    id: int | None = None
    physical_location: PhysicalLocation
    message: Message | None = None


class Replacement(_Model):
    """One edit."""

    deleted_region: Region
    inserted_content: Message


class ArtifactChange(_Model):
    """The edits of one file."""

    artifact_location: ArtifactLocation
    replacements: tuple[Replacement, ...]


class Fix(_Model):
    """Edits that belong together."""

    description: Message
    artifact_changes: tuple[ArtifactChange, ...]


class Configuration(_Model):
    """How bad a rule is."""

    level: Level


class Rule(_Model):
    """A code of the registry."""

    id: str
    name: str
    short_description: Message
    help: Message
    default_configuration: Configuration


class Result(_Model):
    """One diagnostic."""

    rule_id: str
    rule_index: int
    level: Level
    message: Message
    locations: tuple[Location, ...]
    related_locations: tuple[Location, ...] | None = None
    fixes: tuple[Fix, ...] | None = None


class Driver(_Model):
    """The compiler."""

    name: Literal["lmmc"] = "lmmc"
    semantic_version: str = __version__
    rules: tuple[Rule, ...]


class Tool(_Model):
    """What produced the results."""

    driver: Driver


class Run(_Model):
    """One run of the compiler."""

    tool: Tool
    column_kind: Literal["unicodeCodePoints"] = "unicodeCodePoints"
    results: tuple[Result, ...]


class Log(_Model):
    """A SARIF document."""

    schema_: str = Field(default=SCHEMA, alias="$schema")
    version: Literal["2.1.0"] = "2.1.0"
    runs: tuple[Run, ...]


def sarif(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """The SARIF document, as plain data."""
    codes = list(registry())
    rules = tuple(map(_rule, registry().values()))
    results = tuple(_result(d, codes.index(d.code)) for d in diagnostics)
    log = Log(runs=(Run(tool=Tool(driver=Driver(rules=rules)), results=results),))
    return log.model_dump(by_alias=True, exclude_none=True, mode="json")


def _rule(cls: type[Diagnostic]) -> Rule:
    return Rule(
        id=cls.code,
        name=cls.__name__,
        short_description=Message(text=cls.title),
        help=Message(text=inspect.getdoc(cls) or cls.title),
        default_configuration=Configuration(level=_LEVELS[cls.severity]),
    )


def _result(diagnostic: Diagnostic, rule_index: int) -> Result:
    primary = diagnostic.primary
    others = [*places(diagnostic), *diagnostic.trace]
    related = [(span, text) for span, text in others if span != primary]
    return Result(
        rule_id=diagnostic.code,
        rule_index=rule_index,
        level=_LEVELS[diagnostic.severity],
        message=Message(text=_text(diagnostic)),
        locations=(_location(primary, diagnostic.here()),) if primary else (),
        related_locations=tuple(_location(s, t, i) for i, (s, t) in enumerate(related, 1)) or None,
        fixes=tuple(map(_fix, diagnostic.fixes())) or None,
    )


def _text(diagnostic: Diagnostic) -> str:
    """The message with its notes: a SARIF result has no other place for them."""
    return "\n".join([diagnostic.message(), *diagnostic.notes(), *diagnostic.helps()])


def _location(span: Span, text: str, number: int | None = None) -> Location:
    place = PhysicalLocation(artifact_location=_artifact(span.file), region=_region(span))
    return Location(
        id=number, physical_location=place, message=Message(text=text) if text else None
    )


def _artifact(file: SourceFile) -> ArtifactLocation:
    path = PurePath(file.name)
    return ArtifactLocation(uri=path.as_uri() if path.is_absolute() else quote(path.as_posix()))


def _region(span: Span) -> Region:
    line, column = span.file.position(span.start)
    end_line, end_column = span.file.position(span.end)
    return Region(
        start_line=line,
        start_column=column,
        end_line=end_line,
        end_column=end_column,
        char_offset=span.start,
        char_length=span.end - span.start,
    )


def _fix(fix: Suggestion) -> Fix:
    by_file: dict[SourceFile, list[Edit]] = {}
    for edit in fix.edits:
        by_file.setdefault(edit.span.file, []).append(edit)
    changes = (
        ArtifactChange(
            artifact_location=_artifact(file), replacements=tuple(map(_replacement, edits))
        )
        for file, edits in by_file.items()
    )
    return Fix(description=Message(text=fix.title), artifact_changes=tuple(changes))


def _replacement(edit: Edit) -> Replacement:
    return Replacement(deleted_region=_region(edit.span), inserted_content=Message(text=edit.text))
