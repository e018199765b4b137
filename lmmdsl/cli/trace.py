"""`lmmc trace`: the shape of every value, with its line."""

import click

from lmmdsl.cli import options
from lmmdsl.cli.report import form_option, print_report
from lmmdsl.cli.specs import Settings, load_spec


@click.command("trace")
@options.spec
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    help="How far to go into blocks; all the way if not given.",
)
@form_option
def command(
    spec: str, variant: str | None, settings: Settings, depth: int | None, form: str
) -> None:
    """Show the shape of every value of SPEC, in order."""
    print_report(load_spec(spec, variant, settings).trace(depth=depth), form)
