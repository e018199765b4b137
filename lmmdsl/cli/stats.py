"""`lmmc stats`: what a model costs."""

import click

from lmmdsl.cli import options
from lmmdsl.cli.report import form_option, print_report
from lmmdsl.cli.specs import Settings, load_spec


@click.command("stats")
@options.spec
@click.option("--length", type=click.IntRange(min=1), help="Tokens of the sequence to cost.")
@click.option(
    "--images", type=click.IntRange(min=0), default=1, show_default=True, help="Images in it."
)
@form_option
def command(
    spec: str, variant: str | None, settings: Settings, length: int | None, images: int, form: str
) -> None:
    """Count parameters, operations, cache and tokens of SPEC."""
    print_report(load_spec(spec, variant, settings).stats(length=length, images=images), form)
