"""`lmmc new`: a spec of one's own to start from, made from one that ships."""

import re
from pathlib import Path

import click

from lmmdsl.diag.suggest import join
from lmmdsl.driver.output import write_text
from lmmdsl.resources import specs_folder

_MODEL = re.compile(r"^model \w+ ", re.MULTILINE)


@click.command("new")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--like", "name", required=True, metavar="NAME", help="The shipped spec to start from."
)
def command(target: Path, name: str) -> None:
    """Write a new spec FILE: a copy of the shipped spec NAME under the file's own name."""
    shipped = {path.stem: path for path in sorted(specs_folder().glob("*.lmm"))}
    if name not in shipped:
        known = join(shipped, "and", most=len(shipped))
        raise click.BadParameter(f"no spec `{name}` ships; there are {known}", param_hint="--like")
    if target.exists():
        raise click.BadParameter(f"`{target}` exists already", param_hint="FILE")
    text = shipped[name].read_text(encoding="utf-8")
    write_text(target, _MODEL.sub(f"model {model_name(target.stem)} ", text, count=1))
    click.echo(f"wrote {target}; check it with: lmmc check {target}")


def model_name(stem: str) -> str:
    """The name of a model from that of its file: `my-model` gives `MyModel`."""
    words = re.findall(r"[A-Za-z0-9]+", stem) or ["model"]
    name = "".join(word[0].upper() + word[1:] for word in words)
    return name if name[0].isalpha() else f"M{name}"
