"""`lmmc fmt`: the one layout of a spec."""

from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import click

from lmmdsl.cli import terminal
from lmmdsl.cli.options import STANDARD_INPUT
from lmmdsl.diag.sink import Sink
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.files import Files
from lmmdsl.driver.output import write_text
from lmmdsl.fmt import DoesNotParse, format_source


@click.command("fmt")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Format specs in place; a folder means all `.lmm` files in it, `-` standard input."""
    if paths == (STANDARD_INPUT,):
        text = terminal.read_standard_input()
        click.echo(_formatted(text, terminal.STANDARD_INPUT), nl=False)
        return 0
    changed = [(path, old, new) for path, old, new in _texts(paths) if old != new]
    for path, old, new in changed:
        if diff:
            click.echo(_difference(path, old, new), nl=False)
        elif not check:
            write_text(Path(path), new)
        click.echo(f"{'would change' if check or diff else 'formatted'} {path}", err=True)
    return int(bool(changed) and (check or diff))


def _texts(paths: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Each file's name, its text and its formatted text; nothing is written before all could be formatted."""
    files, sink = Files(), Sink()
    names = [name for path in paths for name in _files(path)]
    sources = [files.open(name, sink) for name in names]
    if sink.has_errors:
        raise CompileFailed(sink.diagnostics)
    texts = [(source.name, source.text) for source in sources if source is not None]
    return iter([(name, text, _formatted(text, name)) for name, text in texts])


def _files(path: str) -> list[str]:
    folder = Path(path)
    return sorted(map(str, folder.rglob("*.lmm"))) if folder.is_dir() else [path]


def _formatted(text: str, name: str) -> str:
    try:
        return format_source(text, name)
    except DoesNotParse as error:
        raise CompileFailed(error.diagnostics) from None


def _difference(path: str, old: str, new: str) -> str:
    lines = unified_diff(old.splitlines(True), new.splitlines(True), path, path)
    return "".join(lines)
