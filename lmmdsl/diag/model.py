"""What a diagnostic is.

One frozen dataclass per code holds the facts of one mistake (spans, words, sizes) and the wording
made from them; its docstring is the long explanation that `lmmc explain` shows. Nothing here knows
the checker.

Invariants: `at` is the smallest span that is wrong; `lifted` is set when `at` lies in the library
and names the place in the user's own text that led there; a message is one line that stands alone,
lower case, no full stop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeVar, dataclass_transform

from lmmdsl.text.source import Span

Trace = tuple[tuple[Span, str], ...]


class Severity(StrEnum):
    """How bad it is: only errors stop the compiler."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Applicability(StrEnum):
    """How safe a fix is: only `SURE` ones are applied without being asked for."""

    SURE = "sure"
    LIKELY = "likely"
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True, slots=True)
class Label:
    """A place and what it has to do with the problem; an empty text only underlines."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text under `span`; an empty span inserts."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A fix to type; all `edits` belong together."""

    title: str
    edits: tuple[Edit, ...]
    applicability: Applicability = Applicability.LIKELY


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Base of all diagnostics.

    Attributes:
        at: what is wrong; None when no source text is (a checkpoint, a missing file).
        trace: levels of instantiation that led here, outermost first, each with its label.
        lifted: where the user can act, when `at` lies in the library.
    """

    code: ClassVar[str] = ""
    slug: ClassVar[str] = ""
    severity: ClassVar[Severity] = Severity.ERROR
    title: ClassVar[str] = ""

    at: Span | None = None
    trace: Trace = ()
    lifted: Span | None = None

    def message(self) -> str:
        """The first line: what is wrong, with the values at hand."""
        return self.title

    def here(self) -> str:
        """Text of the label at `at`."""
        return ""

    def labels(self) -> tuple[Label, ...]:
        """Other places that matter, such as where a size was fixed."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """Facts behind the message, at most two."""
        return ()

    def helps(self) -> tuple[str, ...]:
        """What to do, in words, at most one; empty where `fixes` says it."""
        return ()

    def fixes(self) -> tuple[Suggestion, ...]:
        """What to type instead, best first."""
        return ()

    @property
    def primary(self) -> Span | None:
        """The place to show first: in the user's own text where there is one."""
        return self.lifted or self.at

    def __str__(self) -> str:
        place = f"{self.primary}: " if self.primary else ""
        return f"{place}{self.severity.value}[{self.code}]: {self.message()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Located(Diagnostic):
    """A diagnostic that always has a place in the source."""

    at: Span


D = TypeVar("D", bound=Diagnostic)

CODES: dict[str, type[Diagnostic]] = {}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def diagnostic(
    code: str, slug: str, title: str, severity: Severity = Severity.ERROR
) -> Callable[[type[D]], type[D]]:
    """Make a class a frozen dataclass with these attributes and register its code."""

    def register(cls: type[D]) -> type[D]:
        if code in CODES:
            raise ValueError(f"code {code} is taken by {CODES[code].__name__}")
        # Each generated method costs start-up time, once per code: only the constructor is needed.
        made = dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
        made.code, made.slug, made.title, made.severity = code, slug, title, severity
        CODES[code] = made
        return made

    return register
