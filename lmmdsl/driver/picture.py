"""A picture of a model: its text, and its drawings."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmmdsl.backends import dot as backend
from lmmdsl.diag.codes.project import CannotWrite
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.output import write_bytes
from lmmdsl.graph.program import Program

TEXTS = {"dot": "dot", "gv": "dot", "mermaid": "mermaid", "mmd": "mermaid"}
FORMS = ("dot", *backend.FORMATS, "mermaid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture before it is drawn. Notebooks show it."""

    dot: str
    mermaid: str

    def draw(self, form: str) -> bytes:
        """Draw it as `dot`, `svg`, `png`, `pdf` or `mermaid`.

        Raises:
            RenderError: Graphviz is not at hand, or there is no such form.
        """
        if form in TEXTS:
            return (self.dot if TEXTS[form] == "dot" else self.mermaid).encode()
        return backend.render(self.dot, form)

    def save(self, path: str | os.PathLike[str], form: str | None = None) -> Path:
        """Draw it into a file; without `form` the suffix says how.

        Reports:
            E0903 when it cannot be drawn or written.
        """
        target = Path(path)
        try:
            data = self.draw(form or target.suffix.removeprefix("."))
        except backend.RenderError as error:
            raise CompileFailed((CannotWrite(path=str(target), problem=str(error)),)) from None
        write_bytes(target, data)
        return target

    def _repr_svg_(self) -> str:
        return self.draw("svg").decode()


def make_picture(
    program: Program,
    *,
    level: str = "model",
    part: str | None = None,
    stage: str | None = None,
    layout: str | None = None,
) -> Picture:
    """Make a picture of a program; raises `DrawError` for a name that does not exist."""

    def text(draw: Callable[..., str]) -> str:
        return draw(program, level=level, part=part, stage=stage, layout=layout)

    return Picture(dot=text(backend.draw), mermaid=text(backend.mermaid))
