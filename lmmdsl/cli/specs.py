"""Specs as the command line names them: a path, or `PATH@VARIANT` where a command takes several."""

import os
import sys

import click

from lmmdsl.cli.terminal import palette
from lmmdsl.diag.render import render
from lmmdsl.driver.api import Spec
from lmmdsl.driver.session import Request, Session

Settings = tuple[tuple[str, str], ...]


def load_spec(path: str, variant: str | None, settings: Settings) -> Spec:
    """Check one spec and show its warnings; raises `CompileFailed`."""
    session, request = Session(), Request(path=path, variant=variant, settings=settings)
    program = session.program(request)
    warnings = session.check(request).diagnostics
    click.echo(render(warnings, palette=palette(sys.stderr)), nl=False, err=True)
    return Spec(program)


def load_named(text: str, variant: str | None, settings: Settings) -> Spec:
    """As `load_spec`; a variant behind `@` goes before the one of `--variant`."""
    path, at, own = text.rpartition("@")
    if at and path and not os.path.exists(text):
        return load_spec(path, own, settings)
    return load_spec(text, variant, settings)
