"""`lmmc explain E0401`: what a diagnostic means, with a wrong and a right example."""

import click

from lmmdsl.diag.explain import explain, index, near_codes
from lmmdsl.diag.suggest import join


@click.command("explain")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain the diagnostic CODE (such as E0401, or its name); without CODE, list all."""
    if code is None:
        click.echo(index(), nl=False)
        return
    text = explain(code)
    if text is None:
        near = near_codes(code)
        hint = f"; did you mean {join(near)}?" if near else ""
        raise click.BadParameter(f"there is no diagnostic `{code}`{hint}", param_hint="CODE")
    click.echo(text, nl=False)
