"""Hand-made sources for tests of messages."""

from lmmdsl.dims.expr import Dim, Why
from lmmdsl.text.source import SourceFile, Span

SPEC = SourceFile(
    "specs/demo.lmm",
    """from lib import Mlp
model Demo {
  encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  connector proj: Mlp(in = 1408, out = llm.widht)
  layout chat { <image = visual> }
}
""",
)
LIBRARY = SourceFile(
    "std/lib.lmm",
    """block Mlp(in, out) {
  weight: param [out, in]
  forward(x: [*b, in]) -> [*b, out] { return linear(x, weight) }
}
""",
)


def at(file: SourceFile, text: str) -> Span:
    """The first place of a text in a file."""
    start = file.text.index(text)
    return Span(file, start, start + len(text))


def written(text: str) -> Dim:
    """A number that the spec writes."""
    return Dim.of(int(text), Why(text, at(SPEC, text)))


def tokens() -> Dim:
    """576, derived from the image and the patch."""
    whys = (written("336").why, written("14").why)
    grid = Why("336 // 14 = 24", at(SPEC, "image_size"), tuple(why for why in whys if why))
    return Dim.of(576, Why("24 * 24 = 576", None, (grid, grid)))
