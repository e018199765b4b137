"""The Python interface: `load` a spec, then ask the `Spec` for products.

Each product is made by its backend, imported when it is first asked for: checking a spec never loads torch or onnx.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from lmmdsl.backends.report.stats import Stats, stats
from lmmdsl.backends.report.tokens import Tokens, tokens
from lmmdsl.backends.report.trace import Trace, trace
from lmmdsl.diag.model import Diagnostic
from lmmdsl.driver import products
from lmmdsl.driver.options import Setting, settings_text
from lmmdsl.driver.picture import Picture, make_picture
from lmmdsl.driver.session import Request, Session
from lmmdsl.driver.verdict import Verdict
from lmmdsl.graph.program import Program

Path = str | os.PathLike[str]
Settings = Mapping[str, Setting]


def load(path: Path, *, variant: str | None = None, set: Settings | None = None) -> "Spec":
    """Check a spec.

    Args:
        path: the `.lmm` file.
        variant: one of the spec's variants, such as `tiny`.
        set: parameters to change, by path: `{"llm.depth": 3}`. A string is an expression of the language.

    Returns:
        The checked spec.

    Raises:
        CompileFailed: the spec has errors; they are in `.diagnostics`.
        BadSetting: a key of `set` is no path, or a value cannot be written in the language.
    """
    return Spec(Session().program(_request(path, variant, set)))


def check(
    path: Path, *, variant: str | None = None, set: Settings | None = None
) -> tuple[Diagnostic, ...]:
    """Give everything that is reported about a spec, in the order of the source."""
    return Session().check(_request(path, variant, set)).diagnostics


def verify(
    path: Path,
    *,
    variant: str | None = None,
    set: Settings | None = None,
    profile: str = "std",
    seed: int = 0,
) -> Verdict:
    """Compare PyTorch and ONNX Runtime on a spec with random weights.

    Args:
        path: the `.lmm` file.
        variant: one of its variants; a small one will do.
        set: parameters to change.
        profile: which operators the ONNX package uses.
        seed: of weights and inputs.

    Returns:
        One answer per question: each component, cached and batched runs, other sizes, generated tokens.

    Raises:
        CompileFailed: the spec has errors, or ONNX cannot express it.
    """
    return load(path, variant=variant, set=set).verify(profile=profile, seed=seed)


class Spec:
    """A checked spec.

    Attributes:
        program: the checked model: instance tree, dataflow, layouts, stages, weight maps.
    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def __repr__(self) -> str:
        variant = f", variant={self.program.variant!r}" if self.program.variant else ""
        return f"Spec({self.program.name!r}{variant})"

    def to_source(self, *, level: int = 0) -> str:
        """Give the PyTorch source of the model: one file that needs nothing but torch.

        Args:
            level: 0 as the spec is written, 1 with parallel linear layers fused (`lmmc compile -O1`).
        """
        return products.emit_source(self.program, level)

    def to_torch(
        self,
        *,
        dtype: Any = None,
        device: Any = None,
        folder: Path | None = None,
        level: int = 0,
    ) -> Any:
        """Make the PyTorch module: the emitted source, imported.

        Args:
            level: 0 as the spec is written, 1 with parallel linear layers fused. Weights load and save under the
                same names either way.
            dtype: a `torch.dtype` for the parameters; None takes torch's default.
            device: where to make them; `meta` makes none.
            folder: where the source goes; None takes a private folder of the user.

        Returns:
            A `torch.nn.Module` with random weights; `source_file` names its source.
        """
        return products.build_module(
            self.program, dtype=dtype, device=device, folder=folder, level=level
        )

    def to_onnx(
        self,
        out: Path,
        *,
        weights: Path | None = None,
        naming: str | None = None,
        profile: str = "std",
        dtype: str = "float32",
        seed: int | None = None,
    ) -> pathlib.Path:
        """Write an ONNX package.

        Args:
            out: the folder to fill; other files in it stay.
            weights: a safetensors file, a folder of shards, or an index. Files that lie in `out` are used in place,
                others are copied. Without weights the graphs name a data file that does not exist yet.
            naming: the naming scheme of the weights; None for the spec's own names.
            profile: `std` (opset 23), `ort` (ONNX Runtime's fused operators) or `base` (opset 18).
            dtype: `float32` or `float16`.
            seed: makes random weights, to try a package without a checkpoint: `random.safetensors` beside the graphs.

        Returns:
            The folder.

        Raises:
            CompileFailed: weights that do not fit, something that ONNX cannot express, or a failed write.
            ValueError: both weights and a seed.
        """
        if weights is not None and seed is not None:
            raise ValueError("a seed makes random weights: give weights or a seed, not both")
        target = pathlib.Path(out)
        products.write_onnx(
            self.program,
            target,
            weights=weights,
            naming=naming,
            profile=profile,
            dtype=dtype,
            seed=seed,
        )
        return target

    def random_weights(self, path: Path, *, seed: int = 0, dtype: str = "float32") -> pathlib.Path:
        """Write random weights, to try a package or a module without a checkpoint.

        Args:
            path: the safetensors file to write, under the spec's own names.
            seed: the same one gives the same bytes.
            dtype: `float32` or `float16`.
        """
        return products.write_random(self.program, pathlib.Path(path), seed=seed, dtype=dtype)

    def draw(
        self,
        *,
        level: str = "model",
        part: str | None = None,
        stage: str | None = None,
        layout: str | None = None,
    ) -> Picture:
        """Draw the model.

        Args:
            level: `model` (all on one slide), `part` (the inside of a part), `block` (every operation of a block)
                or `visibility` (who sees whom).
            part: for `part` and `block`: a path such as `llm.layers`, or the name of a block.
            stage: for `model`: colour parts by what this stage trains.
            layout: for `model` and `visibility`: whose tokens to show; the first layout if not given.

        Returns:
            A picture: `.dot`, `.mermaid`, `.draw("svg")`, `.save(path)`; notebooks show it.

        Raises:
            DrawError: a name that does not exist.
        """
        return make_picture(self.program, level=level, part=part, stage=stage, layout=layout)

    def verify(self, *, profile: str = "std", seed: int = 0) -> Verdict:
        """Compare PyTorch and ONNX Runtime on the model, with random weights."""
        with products.needs("all"):
            from lmmdsl.driver.verify import verify

        return verify(self.program, profile=profile, seed=seed)

    def stats(self, *, length: int | None = None, images: int = 1) -> Stats:
        """Count parameters per part, operations, cache and tokens.

        Args:
            length: tokens of the sequence to cost; None takes the first layout's own, with room for an answer.
            images: images in it.
        """
        return stats(self.program, length=length, images=images)

    def trace(self, *, depth: int | None = None) -> Trace:
        """Give the shape of every value in order; `depth` bounds how far to go into blocks."""
        return trace(self.program, depth=depth)

    def tokens(self) -> Tokens:
        """Give the token layouts: counts per segment, and what is left of the context."""
        return tokens(self.program)


def _request(path: Path, variant: str | None, settings: Settings | None) -> Request:
    return Request(path=os.fspath(path), variant=variant, settings=settings_text(settings or {}))
