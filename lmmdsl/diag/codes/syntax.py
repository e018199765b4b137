"""E01: text that is not the language."""

from lmmdsl.diag.model import Located, diagnostic
from lmmdsl.diag.suggest import nearest

_MOST_EXPECTED = 6


@diagnostic("E0101", "syntax", "the text does not parse")
class SyntaxProblem(Located):
    """Something stands where the grammar allows something else.

    The parser stops at the first word that cannot continue the declaration. Each top-level
    declaration is parsed on its own, so the others are still checked.

    Wrong:
        encoder vision ClipVit(width = 1024)
    Right:
        encoder vision: ClipVit(width = 1024)
    """

    found: str
    expected: tuple[str, ...]

    def message(self) -> str:
        """Say what was found."""
        if not self.found:
            return "the text ends too early"
        if self.found.startswith("the end"):
            return f"{self.found} comes too early"
        return f"`{_shown(self.found)}` cannot stand here"

    def here(self) -> str:
        """List what could stand here, if that is short."""
        near = self._near()
        if near:
            return f"did you mean `{near}`?"
        if not self.expected or len(self.expected) > _MOST_EXPECTED:
            return ""
        head, last = self.expected[:-1], self.expected[-1]
        return f"expected {', '.join(head)} or {last}" if head else f"expected {last}"

    def notes(self) -> tuple[str, ...]:
        """List what could stand here when the list is long."""
        if self._near() or len(self.expected) <= _MOST_EXPECTED:
            return ()
        return (f"one of these could stand here: {', '.join(self.expected[:16])}",)

    def _near(self) -> str:
        if not self.found.isalpha():
            return ""
        words = (e.strip("`") for e in self.expected if e.startswith("`"))
        near = nearest(self.found, (w for w in words if w.isalpha()))
        return near[0] if near else ""


def _shown(found: str) -> str:
    first = found.splitlines()[0] if found.splitlines() else found
    return first if len(first) <= 40 else first[:37] + "..."


@diagnostic("E0102", "too-large", "the text is larger than the compiler reads")
class TooLarge(Located):
    """A file, a list or a nesting of brackets goes beyond the limit.

    Specs come from strangers, so the compiler bounds what it reads. A model fits in a fraction of
    these limits: write repeated layers as a stack, and long tables of names with a `naming` section
    in the block.

    Wrong:
        layers: [Layer(width), Layer(width), ... four hundred times ...]
    Right:
        layers: 400 * Layer(width)
    """

    what: str
    limit: int

    def message(self) -> str:
        """Name the limit."""
        return f"more than {self.limit} {self.what}"


@diagnostic("E0103", "bad-literal", "a literal has no value")
class BadLiteral(Located):
    r"""A number or a string is written in a way that has no value.

    Strings know the escapes \n, \t, \", \\ and \uXXXX. Numbers may hold underscores between digits.

    Wrong:
        source "arXiv:2304.08485\q"
    Right:
        source "arXiv:2304.08485"
    """

    problem: str

    def message(self) -> str:
        """Pass the problem on."""
        return self.problem
