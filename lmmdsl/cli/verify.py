"""`lmmc verify`: whether PyTorch and ONNX Runtime agree on a model."""

import click

from lmmdsl.cli import options
from lmmdsl.cli.report import print_report
from lmmdsl.cli.specs import Settings, load_spec
from lmmdsl.driver.api import Spec

MOST_PARAMETERS = 1_500_000_000  # both sides at once, in float32, fit into 16 GB


@click.command("verify")
@options.spec
@click.option(
    "--profile", type=click.Choice(["std", "ort", "base"]), default="std", show_default=True,
    help="ONNX operators to use.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights and inputs.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="How to print.",
)  # fmt: skip
def command(
    spec: str, variant: str | None, settings: Settings, profile: str, seed: int, form: str
) -> int:
    """Compare PyTorch and ONNX Runtime on SPEC with random weights, part by part and end to end."""
    loaded = load_spec(spec, variant, settings)
    _check_size(loaded)
    verdict = loaded.verify(profile=profile, seed=seed)
    print_report(verdict, form)
    return int(not verdict.agrees)


def _check_size(spec: Spec) -> None:
    total = spec.stats().used
    if total > MOST_PARAMETERS:
        raise click.UsageError(
            f"{total:,} parameters are too many to run twice; verify a smaller variant of the same"
            " structure, such as --variant tiny"
        )
