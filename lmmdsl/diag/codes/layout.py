"""E05: the token layout, the vocabulary and the context."""

import re
from collections import Counter

from lmmdsl.diag.model import Edit, Label, Located, Severity, Suggestion, diagnostic
from lmmdsl.diag.origins import comes_from, derivations, refer_instead
from lmmdsl.diag.suggest import did_you_mean, respell
from lmmdsl.dims.expr import Dim
from lmmdsl.text.source import Span


@diagnostic("E0501", "visual-width", "visual features and token embeddings differ in width")
class VisualWidth(Located):
    """Visual features take the place of token embeddings, so both must be equally wide.

    Wrong:
        visual = vision.hidden[-2] |> drop_first      # 1024 wide, the llm is 4096 wide
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
        visual = vision.hidden[-2] |> drop_first |> proj
    """

    visual: Dim
    llm: Dim
    value: str = "the visual features"
    part: str = "llm"
    unused: str = ""  # a connector that the features never go through
    is_connected: bool = True  # whether they go through any
    fitting: str = ""  # a value that has the width

    def message(self) -> str:
        """Show both widths."""
        name = self.value if " " in self.value else f"`{self.value}`"
        verb = "are" if self.value.endswith("features") else "is"
        return f"{name} {verb} {self.visual} wide, but `{self.part}` embeds tokens {self.llm} wide"

    def here(self) -> str:
        """Show the width that arrives."""
        return f"{self.visual} wide"

    def labels(self) -> tuple[Label, ...]:
        """Mark where both widths were written."""
        return comes_from((self.visual, self.llm), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.visual, self.llm))

    def helps(self) -> tuple[str, ...]:
        """Point at the connector."""
        if self.fitting:
            return ()  # the fix says it
        if self.unused:
            return (f"send the features through the connector: `|> {self.unused}`",)
        if not self.is_connected:
            sizes = f"Linear({self.visual}, {self.part}.width)"
            return (f"put a connector between: `connector proj: {sizes}`, and `|> proj`",)
        return (f"end the connector at the width of the llm: `out = {self.part}.width`",)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Show the value that fits, else take the connector's width from the LLM: an encoder is as wide as it is."""
        if self.fitting and self.at is not None:
            text = re.sub(r"=.*>", f"= {self.fitting}>", self.at.text, flags=re.DOTALL)
            title = f"show `{self.fitting}`, which is {self.llm} wide"
            return (Suggestion(title, (Edit(self.at, text),)),)
        if self.unused or not self.is_connected:
            return ()
        return refer_instead(self.visual, self.llm)


@diagnostic("E0502", "id-outside-vocabulary", "a token id is outside the vocabulary")
class IdOutsideVocabulary(Located):
    """A named token has an id for which the embedding has no row.

    Ids count from 0, so an embedding of 32000 rows ends at id 31999. Tokens that were added to a
    tokenizer need added rows.

    Wrong:
        llm llm: Decoder(vocab = 32000, ...)
        vocab { <image> = 32000 }
    Right:
        llm llm: Decoder(vocab = 32064, ...)
        vocab { <image> = 32000 }
    """

    token: str
    id: int
    rows: Dim

    def message(self) -> str:
        """Show the id and the rows."""
        return f"`{self.token}` has id {self.id}, but the embedding has {self.rows} rows"

    def here(self) -> str:
        """Show the range."""
        return f"ids run from 0 to {self.rows - 1}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the rows were written."""
        return comes_from((self.rows,), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.rows,))


@diagnostic("E0503", "context-overflow", "the layout does not fit the context")
class ContextOverflow(Located):
    """The tokens that a layout always holds are more than the model has positions for.

    Frameworks cut such sequences without a word. Here the sum is known before anything runs: fixed
    text, named tokens, and images times tokens per image.

    Wrong:
        layout many { <image = visual> ... {question} }      # 8 * 576 tokens, context = 4096
    Right:
        layout one { <image = visual> {question} }
    """

    parts: tuple[tuple[str, int], ...]
    needed: int
    context: Dim
    sizes: tuple[Dim, ...] = ()

    def message(self) -> str:
        """Show the sum and the limit."""
        return (
            f"the layout needs at least {self.needed} tokens, but the context holds {self.context}"
        )

    def labels(self) -> tuple[Label, ...]:
        """Mark where the context and the tokens per image were written."""
        return comes_from((self.context, *self.sizes), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the sum, and how the tokens per image are computed."""
        if not self.parts:
            return ()
        terms = " + ".join(
            f"{times} * {count} {what}" if times > 1 else f"{count} {what}"
            for (what, count), times in Counter(self.parts).items()
        )
        return (f"{terms} = {self.needed}", *derivations(self.sizes))

    def helps(self) -> tuple[str, ...]:
        """Say what can give."""
        return ("use fewer images, a connector with fewer tokens, or a longer context",)


@diagnostic("E0504", "unknown-token", "a token has no name in the vocabulary")
class UnknownToken(Located):
    """A layout, `sees` rule or injection uses a token that `vocab` does not name.

    Wrong:
        vocab { <bos> = 1 }
        layout chat { <boss> {question} }
    Right:
        vocab { <bos> = 1 }
        layout chat { <bos> {question} }
    """

    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"the vocabulary has no token `{self.name}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near tokens."""
        if not self.candidates:
            return (f"name it: `vocab {{ {self.name} = ID }}`",)
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near token."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0505", "duplicate-id", "two tokens have one id")
class DuplicateId(Located):
    """Two named tokens share an id, so that one could not be told from the other.

    Wrong:
        vocab { <image> = 32000, <pad> = 32000 }
    Right:
        vocab { <image> = 32000, <pad> = 32001 }
    """

    token: str
    id: int
    other: str
    first: Span

    def message(self) -> str:
        """Name both."""
        return f"`{self.token}` and `{self.other}` have the same id {self.id}"

    def labels(self) -> tuple[Label, ...]:
        """Mark the first."""
        return (Label(self.first, f"`{self.other}` takes {self.id} here"),)


@diagnostic("E0506", "vocabulary-rows", "the vocabulary and the embedding differ in rows")
class VocabularyRows(Located):
    """The rows that `vocab` declares are not the rows of the embedding.

    Wrong:
        llm llm: Decoder(vocab = 32000, ...)
        vocab { rows = 32064 }
    Right:
        llm llm: Decoder(vocab = 32064, ...)
        vocab { rows = 32064 }
    """

    declared: Dim
    rows: Dim

    def message(self) -> str:
        """Show both."""
        return f"the vocabulary has {self.declared} rows, but the embedding has {self.rows}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where both were written."""
        return comes_from((self.declared, self.rows), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.declared, self.rows))


@diagnostic("E0507", "not-visual", "an image span is not filled with visual features")
class NotVisual(Located):
    """`<image = value>` wants features `[I, N, D]`: images, tokens per image, width.

    Wrong:
        visual = vision.width
        layout chat { <image = visual> }
    Right:
        visual = vision.hidden[-2] |> drop_first |> proj
        layout chat { <image = visual> }
    """

    found: str
    rows: bool = False  # whether a token ends each row
    axes: int = 0  # of what was found

    def message(self) -> str:
        """Show what was found."""
        if self.rows:
            return f"an image span with `rows` needs features [I, R, C, D], not {self.found}"
        return f"an image span needs features [I, N, D], not {self.found}"

    def helps(self) -> tuple[str, ...]:
        """Say how a grid becomes a row of tokens."""
        if self.axes == 4 and not self.rows:
            return (
                'put the grid into one row: `|> rearrange("i r c d -> i (r c) d")`; '
                "or end each of its rows with a token: `<image = VALUE, rows <newline>>`",
            )
        if self.axes == 3 and self.rows:
            return ("leave `rows` out, or give a grid of tokens",)
        return ()


@diagnostic("E0508", "no-placeholder-id", "an image token has no id")
class NoPlaceholderId(Located):
    """Every position of an image is written as its token, so the token needs an id.

    Wrong:
        layout chat { <image = visual> {question} }      # no vocab section
    Right:
        vocab { <image> = 32000 }
        layout chat { <image = visual> {question} }
    """

    token: str

    def message(self) -> str:
        """Name it."""
        return f"`{self.token}` stands for visual features but has no id"

    def helps(self) -> tuple[str, ...]:
        """Show the declaration."""
        return (f"give it one: `vocab {{ {self.token} = ID }}`",)


@diagnostic("W0510", "no-loss", "no text of the layout is trained on", Severity.WARNING)
class NoLoss(Located):
    """A model has stages, but no slot of its layout is marked `loss`: training has no labels.

    Wrong:
        layout chat { "USER: " {question} " ASSISTANT: " {answer} }
    Right:
        layout chat { "USER: " {question} " ASSISTANT: " {answer: loss} }
    """

    layout: str

    def message(self) -> str:
        """Name it."""
        return f"no text of layout `{self.layout}` is marked `loss`, so its stages have no labels"

    def helps(self) -> tuple[str, ...]:
        """Show the mark."""
        return ("mark the text to learn: `{answer: loss}`",)


@diagnostic(
    "E0511", "preprocess-size", "pictures are resized to another size than the encoder takes"
)
class PreprocessSize(Located):
    """Preprocessing must give pictures of the size that the encoder reads.

    Wrong:
        encoder vision: Vit(image_size = 336)
        preprocess vision { resize = 224 }
    Right:
        preprocess vision { resize = vision.image_size }
    """

    part: str
    resized: Dim
    taken: Dim

    def message(self) -> str:
        """Show both sizes."""
        return f"pictures are resized to {self.resized}, but `{self.part}` takes {self.taken}"

    def here(self) -> str:
        """Show the size that preprocessing gives."""
        return f"resized to {self.resized}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the encoder's size was written."""
        return comes_from((self.taken,), but=(self.primary,))

    def helps(self) -> tuple[str, ...]:
        """Point at the encoder's own number."""
        return (f"take the size from the encoder, such as `resize = {self.part}.image_size`",)
