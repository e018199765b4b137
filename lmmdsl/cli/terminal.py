"""What the terminal can show."""

import os
import sys
from typing import TextIO

import click

from lmmdsl.diag.codes.project import NotText
from lmmdsl.diag.palette import Palette
from lmmdsl.diag.render import palette_for, render
from lmmdsl.driver.failure import CompileFailed

STANDARD_INPUT = "<stdin>"  # what messages call it


def palette(stream: TextIO) -> type[Palette]:
    """Colours for a terminal, unless NO_COLOR is set; none for files and pipes."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return palette_for(is_terminal=wanted and stream.isatty())


def print_failure(error: CompileFailed) -> None:
    """Report on standard error why a command stopped."""
    click.echo(render(error.diagnostics, palette=palette(sys.stderr)), nl=False, err=True)


def read_standard_input() -> str:
    """The text on standard input.

    Reports:
        E0902 when it is not UTF-8 text.
    """
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise CompileFailed((NotText(path=STANDARD_INPUT),)) from None
