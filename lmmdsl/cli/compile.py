"""`lmmc compile`: one spec to one target."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from lmmdsl.cli import options
from lmmdsl.cli.specs import Settings, load_spec
from lmmdsl.diag.codes.emit import NotInBackend
from lmmdsl.driver.api import Spec
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.output import write_text
from lmmdsl.driver.picture import FORMS
from lmmdsl.text.amount import exact, short_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks of a target."""

    target: Path
    form: str
    weights: str | None
    naming: str | None
    profile: str
    dtype: str
    level: int
    seed: int


def _torch(spec: Spec, wish: Wish) -> Path:
    """A file when the name ends in `.py`, else a folder that gets `modeling_<name>.py`."""
    named = wish.target.suffix == ".py" or str(wish.target) == options.STANDARD_INPUT
    name = f"modeling_{spec.program.name.lower()}.py"
    return _write_text(
        wish.target if named else wish.target / name, spec.to_source(level=wish.level)
    )


def _write_text(target: Path, text: str) -> Path:
    if str(target) == options.STANDARD_INPUT:
        click.echo(text, nl=False)
    else:
        write_text(target, text)
    return target


def _onnx(spec: Spec, wish: Wish) -> Path:
    is_random = wish.weights == RANDOM
    if is_random:
        _announce(spec, wish)
    written = spec.to_onnx(
        wish.target,
        weights=None if is_random else wish.weights,
        naming=wish.naming,
        profile=wish.profile,
        dtype=wish.dtype,
        seed=wish.seed if is_random else None,
    )
    if wish.weights is None:
        click.echo(
            "no weights are inside, so the package does not run yet: add --weights FILE --naming NAME"
            f" for a checkpoint, or --weights {RANDOM} to try it",
            err=True,
        )
    return written


def _announce(spec: Spec, wish: Wish) -> None:
    """Say how large random weights will be, before they fill a disk."""
    if wish.naming is not None:
        raise click.UsageError(f"--naming has no meaning for --weights {RANDOM}")
    params = (param for _, param in spec.program.full.params())
    count = sum(math.prod(size.value for size in param.shape) for param in params)
    size = short_bytes(count * BYTES[wish.dtype])
    click.echo(f"random weights: {exact(count)} parameters, {size}, seed {wish.seed}", err=True)


def _hf(spec: Spec, wish: Wish) -> Path:
    what = "a whole Hugging Face folder yet; use --to torch or --to onnx"
    raise CompileFailed((NotInBackend(backend="hf", what=what),))


def _picture(spec: Spec, wish: Wish) -> Path:
    if str(wish.target) == options.STANDARD_INPUT:
        click.echo(spec.draw().draw(wish.form), nl=False)
        return wish.target
    return spec.draw().save(wish.target, wish.form)


RANDOM = "random"
BYTES = {"float32": 4, "float16": 2}
TARGETS: dict[str, Callable[[Spec, Wish], Path]] = {
    "torch": _torch,
    "onnx": _onnx,
    "hf": _hf,
    **dict.fromkeys(FORMS, _picture),
}


ONLY_FOR = {
    **dict.fromkeys(("weights", "naming", "profile", "dtype", "seed"), "onnx"),
    "level": "torch",
}


def _refuse_idle_options(form: str) -> None:
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and ONLY_FOR.get(name, form) != form:
            raise click.UsageError(f"{option.opts[0]} has no meaning for --to {form}")
    given = context.get_parameter_source("seed") is ParameterSource.COMMANDLINE
    if given and context.params["weights"] != RANDOM:
        raise click.UsageError(f"--seed has no meaning without --weights {RANDOM}")


@click.command("compile")
@options.spec
@click.option(
    "--to", "form", required=True, help="What to write.",
    type=click.Choice(list(TARGETS)),
)  # fmt: skip
@click.option(
    "-o", "--output", "target", required=True, type=click.Path(path_type=Path),
    help="A file or folder to write; `-` is standard output.",
)  # fmt: skip
@click.option(
    "--weights",
    help="onnx: safetensors file, shard folder or index to include, or `random` to try a package.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True,
    help="onnx: of random weights.",
)  # fmt: skip
@click.option("--naming", metavar="NAME", help="onnx: naming scheme of the weights, such as `hf`.")
@click.option(
    "--profile", type=click.Choice(["std", "ort", "base"]), default="std", show_default=True,
    help="onnx: operators to use.",
)  # fmt: skip
@click.option(
    "--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True,
    help="onnx: element kind.",
)  # fmt: skip
@click.option(
    "-O", "level", type=click.IntRange(0, 1), default=0, show_default=True,
    help="torch: 1 fuses parallel linear layers (q, k, v; gate, up).",
)  # fmt: skip
def command(
    spec: str, variant: str | None, settings: Settings, form: str,
    target: Path, weights: str | None, naming: str | None, profile: str, dtype: str, level: int,
    seed: int,
) -> None:  # fmt: skip
    """Compile SPEC to PyTorch source, an ONNX package or a picture."""
    _refuse_idle_options(form)
    if form == "onnx" and str(target) == options.STANDARD_INPUT:
        raise click.UsageError("--to onnx writes a folder, not to standard output")
    loaded = load_spec(spec, variant, settings)
    wish = Wish(
        target=target,
        form=form,
        weights=weights,
        naming=naming,
        profile=profile,
        dtype=dtype,
        level=level,
        seed=seed,
    )
    written = TARGETS[form](loaded, wish)
    if str(target) != options.STANDARD_INPUT:
        click.echo(f"wrote {written}", file=sys.stderr)
