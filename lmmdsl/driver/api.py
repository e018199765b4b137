"""The Python interface: `load` a spec, then ask the `Spec` for products.

Each product is made by its backend, imported when it is first asked for: checking a spec never loads torch or onnx.
"""

import os
from collections.abc import Mapping

from lmmdsl.diag.model import Diagnostic
from lmmdsl.driver.options import Setting, settings_text
from lmmdsl.driver.session import Request, Session
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


def _request(path: Path, variant: str | None, settings: Settings | None) -> Request:
    return Request(path=os.fspath(path), variant=variant, settings=settings_text(settings or {}))
