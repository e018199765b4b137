"""`lmmc draw`: a picture of a model, a part, a block, or who sees whom."""

import sys
from pathlib import Path

import click

from lmmdsl.backends.dot import LEVELS, DrawError
from lmmdsl.cli import options
from lmmdsl.cli.specs import Settings, load_spec
from lmmdsl.diag.suggest import join, nearest
from lmmdsl.driver.picture import FORMS, TEXTS

SUFFIXES = (*FORMS, *TEXTS)


@click.command("draw")
@options.spec
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(path_type=Path),
    help="The file to write; `-` is standard output.",
)  # fmt: skip
@click.option(
    "--to", "form", type=click.Choice(FORMS), help="The form, if the suffix does not say it."
)
@click.option(
    "--level", type=click.Choice(LEVELS), default="model", show_default=True,
    help="How far to go into detail.",
)  # fmt: skip
@click.option(
    "--part", metavar="PATH", help="part, block, visibility: which part, such as llm.layers."
)
@click.option("--stage", metavar="NAME", help="model: colour the parts by what this stage trains.")
@click.option("--layout", metavar="NAME", help="model, visibility: whose tokens to show.")
def command(
    spec: str, variant: str | None, settings: Settings, target: Path, form: str | None,
    level: str, part: str | None, stage: str | None, layout: str | None,
) -> None:  # fmt: skip
    """Draw SPEC as SVG, PNG, PDF, DOT or Mermaid."""
    form = form or chosen_form(target)
    loaded = load_spec(spec, variant, settings)
    try:
        picture = loaded.draw(level=level, part=part, stage=stage, layout=layout)
    except DrawError as error:
        raise click.UsageError(_advice(error, part or stage or layout or "")) from None
    if str(target) == options.STANDARD_INPUT:
        click.echo(picture.draw(form), nl=False)
    else:
        picture.save(target, form)
        click.echo(f"wrote {target}", file=sys.stderr)


def chosen_form(target: Path) -> str:
    """The form that a file's suffix asks for."""
    suffix = target.suffix.removeprefix(".")
    if suffix not in SUFFIXES:
        forms = join(FORMS, most=len(FORMS))
        raise click.UsageError(
            f"`{target}` does not say what to draw: end it in {forms}, or use --to"
        )
    return suffix


def _advice(error: DrawError, name: str) -> str:
    near = nearest(name, error.candidates) or error.candidates
    return f"{error}; there is {join(near, 'and')}" if near else str(error)
