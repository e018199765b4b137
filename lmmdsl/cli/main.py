"""`lmmc`: finds the subcommand, and turns what went wrong into an exit code.

0 all is well, 1 errors in the spec or its files, 2 wrong usage, 3 a bug in lmmc. A subcommand's module is imported
only when it runs, so that `lmmc --help` and `lmmc check` start fast.
"""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click

from lmmdsl.driver.failure import CompileFailed

COMMANDS = {
    "check": "Check specs and report every mistake.",
    "compile": "Compile a spec to PyTorch, ONNX or a picture.",
    "draw": "Draw a model, a part or a block.",
    "verify": "Compare PyTorch and ONNX Runtime on a model.",
    "stats": "Count parameters, operations, cache and tokens.",
    "trace": "Show the shape of every value.",
    "tokens": "Show the language model's input, segment by segment.",
    "compare": "Compare models in one table.",
    "diff": "Show what differs between two models.",
    "explain": "Explain a diagnostic code.",
    "fmt": "Format specs in place.",
    "new": "Write a new spec from one that ships.",
}


class Commands(click.Group):
    """The subcommands by name, each in `lmmdsl.cli.<name>` as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"lmmdsl.cli.{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; for a misspelt one, say which is near."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            suggest = import_module("lmmdsl.diag.suggest")
            advice = "; ".join(suggest.nearest(args[0], COMMANDS))
            hint = f" Did you mean `{advice}`?" if advice else ""
            ctx.fail(f"There is no command `{args[0]}`.{hint}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"lmmc {import_module('importlib.metadata').version('lmmdsl')}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
def lmmc() -> None:
    """Check specs of large multimodal models and compile them to PyTorch, ONNX and pictures."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    # A command makes many small objects that live until it ends: looking for garbage less often saves 6 % of `check`.
    gc.set_threshold(100_000, 50, 100)
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    try:
        code: Any = lmmc.main(args, prog_name="lmmc", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CompileFailed as error:
        from lmmdsl.cli.terminal import print_failure

        print_failure(error)
        return 1
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has gone; keep the interpreter from flushing into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception:  # the one place where a bug must become a message and an exit code
        return _bug()
    return code if isinstance(code, int) else 0


def _bug() -> int:
    kind, error, trace = sys.exc_info()
    place = traceback.extract_tb(trace)[-1]
    where = f"{os.path.basename(place.filename)}:{place.lineno} ({place.name})"
    problem = traceback.format_exception_only(kind, error)[-1].strip()
    click.echo(f"error[E0001]: bug in lmmc, in {where}: {problem}", err=True)
    click.echo("help: this is not your mistake; please report it together with the spec", err=True)
    if os.environ.get("LMMC_DEBUG") == "1":
        traceback.print_exc()
    return 3


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """End on a signal the ordinary way, so that half-written outputs are removed."""
    raise SystemExit(128 + number)
