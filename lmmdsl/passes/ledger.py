"""The token ledger: what stands in the LLM's input sequence, and what it costs of the context.

Takes a layout; gives its segments in reading order, neighbouring texts joined, with the tokens that each takes, as far
as that is known without a tokenizer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.program import Group, Image, Layout, Program, Segment, Slot, Text, Token, Turn


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment.

    Attributes:
        kind: `text`, `token`, `image` or `slot`; `turn` stands where the prompt ends and the answer begins.
        text: as it reads in the sequence (`<bos>`, `USER: `, `question`).
        id: vocabulary id of tokens and placeholders.
        tokens: how many positions it takes; None where only the tokenizer knows.
        value: the model value that fills an image span.
        is_loss: whether it is trained on.
        limit: most tokens of a slot, if it says so.
        is_repeated: whether it may occur any number of times.
    """

    kind: str
    text: str
    id: int | None = None
    tokens: Dim | None = None
    value: str = ""
    is_loss: bool = False
    limit: int | None = None
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """A layout against the context: `special` named tokens, `visual` positions of the images it shows once."""

    layout: str
    entries: tuple[Entry, ...]
    special: int
    images: int
    visual: Dim
    context: int | None

    @property
    def left(self) -> int | None:
        """Positions left for text; None where images have no fixed size or the context is not known."""
        if self.context is None or not self.visual.is_const:
            return None
        return self.context - self.special - self.visual.value

    @property
    def most_images(self) -> int | None:
        """How many images the context could hold beside the named tokens and no text at all."""
        spans = [entry.tokens for entry in self.entries if entry.kind == "image" and entry.tokens]
        if self.context is None or not spans or not all(span.is_const for span in spans):
            return None
        largest = max(span.value for span in spans)
        return max(self.context - self.special, 0) // largest if largest else None


def ledgers(program: Program) -> tuple[Ledger, ...]:
    """The ledger of every layout."""
    return tuple(make_ledger(layout, program.context) for layout in program.layouts)


def make_ledger(layout: Layout, context: int | None) -> Ledger:
    """Account for one layout; repeated groups are counted once, an answer that is a sequence of its own is not."""
    entries = tuple(_join(_flat(layout.segments)))
    turns = (place for place, entry in enumerate(entries) if entry.kind == "turn")
    counted = entries[: next(turns, len(entries))]
    visual = [entry.tokens for entry in counted if entry.kind == "image" and entry.tokens]
    return Ledger(
        layout=layout.name,
        entries=entries,
        special=sum(entry.kind == "token" for entry in counted),
        images=len(visual),
        visual=sum(visual, Dim.of(0)),
        context=context,
    )


def _flat(segments: tuple[Segment, ...]) -> Iterator[Entry]:
    for segment in segments:
        match segment:
            case Text(text):
                yield Entry("text", text)
            case Token(name, number):
                yield Entry("token", name, number, Dim.of(1))
            case Image(token, tokens, value, _, end):
                name = f"{token.name}* {end.name}" if end else token.name
                yield Entry("image", name, token.id, tokens, value)
            case Turn():
                yield Entry("turn", "\u2192")
            case Slot(name, loss, limit):
                yield Entry("slot", name, is_loss=loss, limit=limit)
            case Group(inner):
                yield from (replace(entry, is_repeated=True) for entry in _flat(inner))


def _join(entries: Iterator[Entry]) -> Iterator[Entry]:
    held: Entry | None = None
    for entry in entries:
        is_next = held and entry.kind == "text" and entry.is_repeated == held.is_repeated
        if held and is_next:
            held = Entry("text", held.text + entry.text, is_repeated=held.is_repeated)
            continue
        if held:
            yield held
        held = entry if entry.kind == "text" else None
        if not held:
            yield entry
    if held:
        yield held
