"""Arguments and options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lmmdsl.driver.options import BadSetting, split_setting

F = TypeVar("F", bound=Callable[..., Any])

STANDARD_INPUT = "-"


def _pairs(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(map(split_setting, texts))
    except BadSetting as error:
        raise click.BadParameter(str(error), context, option) from None


def variant(command: F) -> F:
    """Add `--variant` and `--set`."""
    sized = click.option("--variant", metavar="NAME", help="A variant of the spec, such as `tiny`.")
    changed = click.option(
        "--set",
        "settings",
        metavar="PATH=VALUE",
        multiple=True,
        callback=_pairs,
        help="Change a parameter, such as llm.depth=2; may be repeated.",
    )
    return sized(changed(command))


def spec(command: F) -> F:
    """Add the argument SPEC, `--variant` and `--set`."""
    return click.argument("spec", metavar="SPEC")(variant(command))
