"""`lmmc check`: every mistake of some specs, for people, programs and code-scanning services."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import click

from lmmdsl.cli import options
from lmmdsl.cli.terminal import STANDARD_INPUT, palette, read_standard_input
from lmmdsl.diag.model import Diagnostic, Severity
from lmmdsl.diag.render import render, summary
from lmmdsl.driver.session import Checked, Request, Session, check_text

Printer = Callable[[Sequence[str], Sequence[Diagnostic]], str]


@click.command("check")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@options.variant
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="How to print.",
)
def command(
    specs: tuple[str, ...], variant: str | None, settings: tuple[tuple[str, str], ...], form: str
) -> int:
    """Check specs and report every mistake; SPEC `-` is standard input."""
    session = Session()
    results = [
        _check(session, Request(path=spec, variant=variant, settings=settings)) for spec in specs
    ]
    found = [item for result in results for item in result.diagnostics]
    click.echo(_PRINTERS[form](specs, found), nl=False)
    return int(any(result.has_errors for result in results))


def _check(session: Session, request: Request) -> Checked:
    if request.path == options.STANDARD_INPUT:
        return check_text(read_standard_input(), replace(request, path=STANDARD_INPUT))
    return session.check(request)


def _text(specs: Sequence[str], found: Sequence[Diagnostic]) -> str:
    if found:
        return render(found, palette=palette(sys.stdout))
    names = ", ".join(specs) if len(specs) <= 3 else f"{len(specs)} specs"
    return f"{names}: no problems\n"


def _json(specs: Sequence[str], found: Sequence[Diagnostic]) -> str:
    from lmmdsl.wire.diagnostics import Report

    return Report.of(specs, found).text()


def _sarif(specs: Sequence[str], found: Sequence[Diagnostic]) -> str:
    from lmmdsl.wire.sarif import sarif

    return json.dumps(sarif(found), indent=2, ensure_ascii=False) + "\n"


def _github(specs: Sequence[str], found: Sequence[Diagnostic]) -> str:
    """Workflow commands, which GitHub Actions shows beside the changed lines."""
    return "".join(map(_annotation, found)) + (summary(found) or "no problems") + "\n"


def _annotation(found: Diagnostic) -> str:
    kind = "notice" if found.severity is Severity.INFO else found.severity.value
    place = ""
    if found.primary is not None:
        line, column = found.primary.file.position(found.primary.start)
        place = f"file={_escaped(found.primary.file.name)},line={line},col={column},"
    advice = "\n".join((found.message(), *found.notes(), *found.helps()))
    return f"::{kind} {place}title={found.code}::{_escaped(advice)}\n"


def _escaped(text: str) -> str:
    for char, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, code)
    return text


_PRINTERS: dict[str, Printer] = {
    "text": _text,
    "json": _json,
    "sarif": _sarif,
    "github": _github,
}
