"""E05: what an LLM knows of its tokens, and which of them it sees."""

from lmmdsl.diag.model import Label, Located, Suggestion, diagnostic
from lmmdsl.diag.suggest import did_you_mean, respell
from lmmdsl.text.source import Span


@diagnostic("E0512", "sees-rule", "an LLM cannot follow these rules of visibility")
class SeesRules(Located):
    """`sees` names a layout and says who sees whom in it.

    A decoder keeps what it has read, so no token sees what comes after it. One exception is possible: the
    tokens in front of a mark, which are all read at once, may see each other.

    Wrong:
        sees chat { {question} sees {answer} }
    Right:
        sees chat { before <sop> sees before <sop>; all sees all causally }
    """

    problem: str
    name: str = ""
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Pass the problem on."""
        return self.problem

    def helps(self) -> tuple[str, ...]:
        """Offer near names, or show what is possible."""
        if self.candidates:
            return did_you_mean(self.at, self.name, self.candidates)
        shown = "`all sees all causally`, and `before <token> sees before <token>`"
        return (f"the rules that there are: {shown}",)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near name."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0513", "fact-not-taken", "an LLM does not take what a section gives")
class FactNotTaken(Located):
    """`positions` and `sees` reach an LLM through arguments of its `forward`, by name.

    Wrong:
        sees chat { before <sop> sees before <sop>; all sees all causally }   # llm: Llama(...)
    Right:
        forward(x: [B, T, width], positions: int[B, T], keys: bool[B, S]?, prefix: int[B]) -> [B, T, width] { ... }
    """

    section: str
    name: str
    part: str
    declared: Span

    def message(self) -> str:
        """Name all three."""
        return f"`{self.section}` gives `{self.name}`, which `{self.part}` does not take"

    def labels(self) -> tuple[Label, ...]:
        """Mark the method."""
        return (Label(self.declared, f"`forward` has no argument `{self.name}`"),)


@diagnostic("E0514", "fact-missing", "an LLM takes what nothing gives")
class FactMissing(Located):
    """Beside embeddings, an LLM may take `positions`, `keys` (which tokens are real) and what a section gives.

    Wrong:
        llm llm: PrefixDecoder(...)          # forward(x, positions, keys, prefix: int[B])
    Right:
        llm llm: PrefixDecoder(...)
        sees chat { before <sop> sees before <sop>; all sees all causally }
    """

    name: str
    type: str
    part: str
    declared: Span

    def message(self) -> str:
        """Name both."""
        return f"`{self.part}` takes `{self.name}: {self.type}`, which nothing gives"

    def labels(self) -> tuple[Label, ...]:
        """Mark the argument."""
        return (Label(self.declared, "taken here"),)

    def helps(self) -> tuple[str, ...]:
        """Show the section that gives it."""
        match self.name:
            case "positions":
                return ("say how tokens are counted: `positions { return ... }`",)
            case "prefix":
                rule = "before <token> sees before <token>; all sees all causally"
                return (f"say where the prefix ends: `sees LAYOUT {{ {rule} }}`",)
        return ("a section gives `positions` or `prefix`; an injection gives its own",)


@diagnostic("E0515", "component-name", "a flow has the name of a component")
class ComponentName(Located):
    """A model with an LLM has components that follow from its layout, and a flow takes the name of one.

    They are `encode` (with `encode_` and a name for further visual values), `embed`, `read`, `arrange`, `decode` and
    `logits`, whether a model has all of them or not: what runs a model finds them by these names.

    Wrong:
        flow encode(pixels: [B, 3, 224, 224]) -> [B, 257, 1024] { return vision(pixels) }
    Right:
        flow look(pixels: [B, 3, 224, 224]) -> [B, 257, 1024] { return vision(pixels) }
    """

    name: str

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` is the name of a component that every model with an LLM may have"

    def helps(self) -> tuple[str, ...]:
        """Say what to do."""
        return ("give the flow another name",)
