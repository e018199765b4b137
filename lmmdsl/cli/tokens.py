"""`lmmc tokens`: the language model's input, segment by segment."""

import click

from lmmdsl.cli import options
from lmmdsl.cli.report import form_option, print_report
from lmmdsl.cli.specs import Settings, load_spec


@click.command("tokens")
@options.spec
@form_option
def command(spec: str, variant: str | None, settings: Settings, form: str) -> None:
    """Show the token layouts of SPEC, with counts and what is left of the context."""
    print_report(load_spec(spec, variant, settings).tokens(), form)
