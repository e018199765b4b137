"""Reports: what a model costs, holds and looks like from the side, as data and as tables."""

from lmmdsl.backends.report.compare import compare
from lmmdsl.backends.report.diff import diff
from lmmdsl.backends.report.stats import stats
from lmmdsl.backends.report.tokens import tokens
from lmmdsl.backends.report.trace import trace
from lmmdsl.backends.report.write import csv, html, markdown, plain, text

__all__ = [
    "compare",
    "csv",
    "diff",
    "html",
    "markdown",
    "plain",
    "stats",
    "text",
    "tokens",
    "trace",
]
