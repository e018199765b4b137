"""DOT text to SVG, PNG or PDF.

pygraphviz carries Graphviz in its wheel and needs nothing from the system; where it is not installed, the `dot`
program is used if there is one.
"""

import importlib
import re
import shutil
import subprocess

FORMATS = ("svg", "png", "pdf")
DPI = {"png": "144"}


class RenderError(Exception):
    """A picture cannot be drawn; the message says why and what would help."""


def render(dot: str, form: str) -> bytes:
    """Draw a picture.

    Args:
        dot: the DOT text.
        form: `svg`, `png` or `pdf`.

    Raises:
        RenderError: Graphviz is not at hand, or it failed.
    """
    if form not in FORMATS:
        raise RenderError(f"no picture format `{form}`; there are {', '.join(FORMATS)}")
    try:
        library = importlib.import_module("pygraphviz")
    except ImportError:
        return _by_program(dot, form)
    options = f"-Gdpi={DPI[form]}" if form in DPI else ""
    drawn: bytes = library.AGraph(string=dot).draw(format=form, prog="dot", args=options)
    return _undated(drawn)


def _undated(drawn: bytes) -> bytes:
    """A PDF without the time of its making: equal pictures are equal bytes."""
    return re.sub(rb"(/CreationDate \(D:)\d{14}", rb"\g<1>19700101000000", drawn)


def _by_program(dot: str, form: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise RenderError(
            "pictures need Graphviz: `pip install pygraphviz` brings it along; DOT and Mermaid need nothing"
        )
    command = [program, f"-T{form}", *(f"-Gdpi={DPI[form]}" for _ in [0] if form in DPI)]
    done = subprocess.run(command, input=dot.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RenderError(f"`dot` failed: {done.stderr.decode(errors='replace').strip()}")
    return _undated(done.stdout)
