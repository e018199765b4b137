"""How reports are printed, and the form in which the user wants them."""

import json
from collections.abc import Callable
from typing import Any

import click

from lmmdsl.backends.report import write

FORMS: dict[str, Callable[[Any], str]] = {
    "text": write.text,
    "json": lambda report: json.dumps(write.plain(report), indent=2, ensure_ascii=False) + "\n",
    "md": write.markdown,
    "html": write.html,
    "csv": write.csv,
}

form_option = click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMS)),
    default="text",
    show_default=True,
    help="How to print.",
)


def print_report(report: Any, form: str) -> None:
    """Print a report on standard output."""
    click.echo(FORMS[form](report), nl=False)
