"""E06: injection points."""

from collections.abc import Mapping
from dataclasses import field

from lmmdsl.diag.model import Label, Located, diagnostic
from lmmdsl.diag.origins import bound_so_far, comes_from, derivations
from lmmdsl.diag.suggest import join, nearest
from lmmdsl.dims.expr import Dim


@diagnostic("E0601", "selector-matches-nothing", "a selector matches no part")
class SelectorMatchesNothing(Located):
    """A selector is a path over the tree of parts; this one matches none of them.

    A rule that hits nothing would leave the model as it was, and nobody would notice.

    Wrong:
        inject Lora(rank = 8) around llm.layer[*].attn.q
    Right:
        inject Lora(rank = 8) around llm.layers[*].attn.q
    """

    selector: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"`{self.selector}` matches no part"

    def helps(self) -> tuple[str, ...]:
        """Offer near misses."""
        near = nearest(self.selector, self.candidates) or self.candidates
        return (f"near misses: {join(near, 'and')}",) if near else ()


@diagnostic("E0602", "injection-shape", "an injected block does not fit its place")
class InjectionShape(Located):
    """What is injected must take the value at its place and give one of the same shape.

    Wrong:
        inject before llm.layers[every 4] { cross: Cross(vision.width)  x = cross(x, visual) }
    Right:
        inject before llm.layers[every 4] { cross: Cross(llm.width)  x = cross(x, visual) }
    """

    problem: str
    sizes: tuple[Dim, ...] = ()
    bound: Mapping[str, str] = field(default_factory=dict)

    def message(self) -> str:
        """Pass the problem on."""
        return self.problem

    def labels(self) -> tuple[Label, ...]:
        """Mark where the sizes were written."""
        return comes_from(self.sizes, but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the axes and the arithmetic."""
        return bound_so_far(self.bound) + derivations(self.sizes)


@diagnostic("E0603", "layer-out-of-range", "a selector names a layer that does not exist")
class LayerOutOfRange(Located):
    """A selector indexes a stack beyond its depth.

    Wrong:
        inject after text.layers[6:14].attn { ... }      # depth = 12
    Right:
        inject after text.layers[6:12].attn { ... }
    """

    index: int
    depth: Dim

    def message(self) -> str:
        """Show the index and the depth."""
        return f"there is no layer {self.index} in a stack of {self.depth}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the depth was written."""
        return comes_from((self.depth,), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.depth,))

    def helps(self) -> tuple[str, ...]:
        """Name the range."""
        return (f"layers run from 0 to {self.depth - 1}",)
