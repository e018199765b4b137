"""Reports as text, Markdown, HTML, CSV, and plain data for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

from lmmdsl.backends.report.table import Table


class Report(Protocol):
    """What every report can do."""

    def tables(self) -> tuple[Table, ...]:
        """The report as tables."""


def text(report: Report) -> str:
    """Write a report for a terminal."""
    return "\n\n".join(table.text() for table in report.tables()) + "\n"


def markdown(report: Report) -> str:
    """Write a report as Markdown."""
    return "\n\n".join(table.markdown() for table in report.tables()) + "\n"


def html(report: Report) -> str:
    """Write a report as HTML tables."""
    return "\n".join(table.html() for table in report.tables()) + "\n"


def csv(report: Report) -> str:
    """Write a report as comma-separated values, its tables one after another."""
    return "\n\n".join(table.csv() for table in report.tables()) + "\n"


def plain(report: Any) -> Any:
    """A report as dictionaries, lists, strings and numbers, ready for JSON."""
    if is_dataclass(report):
        return {field.name: plain(getattr(report, field.name)) for field in fields(report)}
    if isinstance(report, Mapping):
        return {str(key): plain(value) for key, value in report.items()}
    if isinstance(report, Sequence) and not isinstance(report, str):
        return [plain(item) for item in report]
    return report
