"""`lmmc compare`: the table of several models."""

import click

from lmmdsl.backends.report.compare import compare
from lmmdsl.cli import options
from lmmdsl.cli.report import form_option, print_report
from lmmdsl.cli.specs import Settings, load_named


@click.command("compare")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@options.variant
@form_option
def command(specs: tuple[str, ...], variant: str | None, settings: Settings, form: str) -> None:
    """Compare models in one table; SPEC@VARIANT names a variant."""
    programs = [load_named(spec, variant, settings).program for spec in specs]
    print_report(compare(programs), form)
