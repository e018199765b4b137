"""E05: what a layout must show: images that are read, and where the answer of an encoder-decoder begins."""

from lmmdsl.diag.model import Edit, Label, Located, Suggestion, diagnostic
from lmmdsl.text.source import Span


@diagnostic("E0516", "unused-part", "what reads or carries images has no use")
class UnusedPart(Located):
    """An encoder or a connector is declared, but no layout, injection or flow shows what it gives.

    The model would be one of text alone, and a stage that trains the part would train nothing.

    Wrong:
        visual = vision |> proj
        layout chat { <image> {question} {answer: loss} }
    Right:
        layout chat { <image = visual> {question} {answer: loss} }
    """

    part: str
    role: str
    value: str = ""  # what it goes into
    token: str = ""  # a token of a layout that looks like its place
    place: Span | None = None

    def message(self) -> str:
        """Name it."""
        return f"nothing uses the {self.role} `{self.part}`"

    def labels(self) -> tuple[Label, ...]:
        """Mark the token that shows no value."""
        return (Label(self.place, "shows no value"),) if self.place else ()

    def helps(self) -> tuple[str, ...]:
        """Show how a layout shows a value."""
        if self.place and self.value:
            return ()  # the fix says it
        return (f"show what it gives in a layout: `<image = {self.value or 'visual'}>`",)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Fill the token."""
        if not (self.place and self.value):
            return ()
        edit = Edit(self.place, f"<{self.token} = {self.value}>")
        return (Suggestion(f"show `{self.value}` there", (edit,)),)


@diagnostic("E0517", "answer-turn", "where the prompt ends does not fit the language model")
class AnswerTurn(Located):
    """`->` in a layout ends the prompt: an encoder-decoder reads what is before it, and answers with what is behind.

    An LLM with a method `read` needs it once in each layout; any other reads prompt and answer as one sequence.

    Wrong:
        layout ask { <image = visual> {question} {answer: loss} }               # the llm is an encoder-decoder
    Right:
        layout ask { <image = visual> {question} -> <start> {answer: loss} }
    """

    layout: str
    reads: bool  # whether the LLM has an encoder
    before: bool = False  # whether the answer is what is marked

    def message(self) -> str:
        """Say which way."""
        if not self.reads:
            return f"layout `{self.layout}` splits prompt and answer, but the llm reads both as one sequence"
        if self.before or self.at.text != "->":
            return f"layout `{self.layout}` does not say where the answer of the encoder-decoder begins"
        return f"layout `{self.layout}` says twice where the answer begins"

    def helps(self) -> tuple[str, ...]:
        """Show the mark, where no edit does."""
        return () if self.fixes() else ("end the prompt with `->`",)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Put the mark before the answer, or take it out."""
        if self.before:
            edit = Edit(self.at, f"-> {self.at.text}")
            return (Suggestion("end the prompt before it", (edit,)),)
        return (Suggestion("leave it out", (Edit(self.at, ""),)),) if self.at.text == "->" else ()
