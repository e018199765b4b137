"""From a checked program to its products, each by its backend, imported when it is first asked for.

Every error of a backend that is not a bug leaves as `CompileFailed`. Outputs appear whole or not at all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmmdsl.diag.codes.emit import NotInBackend
from lmmdsl.diag.codes.project import LibraryMissing
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.output import new_file, new_folder
from lmmdsl.graph.program import Program

AnyPath = str | os.PathLike[str]
RANDOM_FILE = "random.safetensors"


@contextmanager
def _weights_errors() -> Iterator[None]:
    from lmmdsl.weights.plan import WeightsFailed

    try:
        yield
    except WeightsFailed as error:
        raise CompileFailed(error.diagnostics) from None


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Report a library that is not installed, with the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in ("", "lmmdsl"):
            raise
        raise CompileFailed((LibraryMissing(package=library, extra=extra),)) from None


def write_onnx(
    program: Program,
    target: Path,
    *,
    weights: AnyPath | None = None,
    naming: str | None = None,
    profile: str = "std",
    dtype: str = "float32",
    seed: int | None = None,
) -> tuple[str, ...]:
    """Write the ONNX package of a program into the folder `target`; gives the names of its files.

    A `seed` makes random weights, which come to stand beside the graphs.

    Reports:
        E0706 and E0707 when the weights do not fit, E0801 for what ONNX cannot express, E0903.
    """
    with needs("onnx"):
        from lmmdsl.backends.onnx.export import export
        from lmmdsl.backends.onnx.scope import OnnxError
    with _weights_errors():
        loads = _planned(program, weights, naming) if weights is not None else None
    try:
        with new_folder(target) as folder:
            home = target
            if seed is not None:
                file = write_random(program, folder / RANDOM_FILE, seed=seed, dtype=dtype)
                home, loads = folder, _planned(program, file, None)
            made = export(program, folder, home=home, loads=loads, profile=profile, dtype=dtype)
    except OnnxError as error:
        raise CompileFailed(
            (NotInBackend(backend=f"onnx ({profile})", what=str(error)),)
        ) from error
    return made.files


def write_random(program: Program, target: Path, *, seed: int, dtype: str) -> Path:
    """Write random weights under the program's own names.

    Reports:
        E0903 when the file cannot be written.
    """
    with needs("onnx"):
        from lmmdsl.backends.onnx import random_weights

    with new_file(target) as path:
        random_weights.write_random(program, path, seed=seed, dtype=dtype)
    return target


def _planned(program: Program, weights: AnyPath, naming: str | None) -> Any:
    """What is loaded of a checkpoint, for each parameter."""
    from lmmdsl.weights.copies import check_copies
    from lmmdsl.weights.plan import plan_load

    coverage = plan_load(program, weights, naming)
    check_copies(coverage.copies)
    return coverage.loads


def build_module(program: Program, **options: Any) -> Any:
    """Make the PyTorch module of a program: the emitted source, imported."""
    with needs("torch"):
        from lmmdsl.backends.torch import module

    return module.build_module(program, **options)


def emit_source(program: Program, level: int = 0) -> str:
    """The PyTorch source of a program: one file that needs nothing but torch."""
    with needs("torch"):
        from lmmdsl.backends.torch import module, source

    return source.emit_source(module.optimized(program, level))


def load_weights(net: Any, path: AnyPath, *, naming: str | None = None, **options: Any) -> Any:
    """Load a checkpoint into a module made by `Spec.to_torch`.

    Args:
        net: the module.
        path: a safetensors file, a folder of shards, or an index.
        naming: the checkpoint's naming scheme; None when the names are the module's own.
        options: `dtype` and `device` of the loaded parameters; `part` loads one part of the model only, by the names
            that its block gives under `naming`, behind `prefix` in the file.

    Returns:
        The same module. Every tensor was used exactly once, every parameter has its tensor; of a part, those behind
        the prefix.

    Raises:
        CompileFailed: the files are damaged or do not fit; the module is unchanged.
    """
    with needs("torch"):
        from lmmdsl.backends.torch import weights

    with _weights_errors():
        return weights.load_weights(net, path, naming, **options)


def save_weights(net: Any, path: AnyPath, *, naming: str | None = None, **options: Any) -> Any:
    """Save a module's weights under the names of a scheme; the way back of `load_weights`.

    Raises:
        CompileFailed: the scheme does not name every parameter, or the files cannot be written.
    """
    with needs("torch"):
        from lmmdsl.backends.torch import saving

    with _weights_errors():
        return saving.save_weights(net, path, naming, **options)
