"""E07, continued: single lines of weight maps."""

from lmmdsl.diag.model import Located, diagnostic


@diagnostic("E0709", "naming-line", "a line of a weight map cannot be carried out")
class NamingLine(Located):
    """A `naming` or `weights` line is well formed but contradicts the parts it names.

    Parts that one checkpoint tensor packs together need the same parameters with the same columns;
    a line that reaches into a stack must say with `{i}` where the layer's number goes; one tensor
    cannot be packed twice.

    Wrong:
        naming hf { layers.norm = "blocks.norm" }
    Right:
        naming hf { layers.norm = "blocks.{i}.norm" }
    """

    scheme: str
    line: str
    problem: str

    def message(self) -> str:
        """Name the line and the problem."""
        return f"`{self.scheme}` cannot map `{self.line}`: {self.problem}"
