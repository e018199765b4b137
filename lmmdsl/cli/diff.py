"""`lmmc diff`: what differs between two models, or two variants of one."""

import click

from lmmdsl.backends.report.diff import diff
from lmmdsl.cli import options
from lmmdsl.cli.report import form_option, print_report
from lmmdsl.cli.specs import Settings, load_named


@click.command("diff")
@click.argument("left", metavar="SPEC")
@click.argument("right", metavar="SPEC")
@options.variant
@form_option
def command(left: str, right: str, variant: str | None, settings: Settings, form: str) -> None:
    """Show the structural differences of two models; SPEC@VARIANT names a variant."""
    older, newer = (load_named(spec, variant, settings).program for spec in (left, right))
    print_report(diff(older, newer), form)
