"""Specs as they are named on the command line: a path, or `PATH@VARIANT` where a command takes several."""

import os

from lmmdsl.driver.session import Request


def named_spec(text: str, variant: str | None, settings: tuple[tuple[str, str], ...]) -> Request:
    """The spec that `text` names; a variant behind `@` goes before the one of `--variant`."""
    path, at, own = text.rpartition("@")
    if at and path and not os.path.exists(text):
        return Request(path=path, variant=own, settings=settings)
    return Request(path=text, variant=variant, settings=settings)
