"""Pictures of a model: DOT and Mermaid text, and SVG, PNG and PDF through Graphviz."""

from lmmdsl.backends.dot.graphviz import FORMATS, RenderError, render
from lmmdsl.backends.dot.level import LEVELS, DrawError, draw, mermaid

__all__ = ["FORMATS", "LEVELS", "DrawError", "RenderError", "draw", "mermaid", "render"]
