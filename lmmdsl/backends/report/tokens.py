"""The LLM's input sequence as text: every segment of a layout, its tokens, and how the count comes about."""

from dataclasses import dataclass

from lmmdsl.backends.report.facts import title
from lmmdsl.backends.report.table import Table
from lmmdsl.graph.program import Program
from lmmdsl.passes.ledger import Entry, Ledger, ledgers
from lmmdsl.text.amount import exact

STEPS = 12  # of a derivation


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of a derivation, and the line where it is written (or "")."""

    text: str
    line: str


@dataclass(frozen=True, slots=True)
class SegmentTokens:
    """One segment; `tokens` is a formula, empty where only the tokenizer knows."""

    kind: str
    text: str
    id: int | None
    tokens: str
    value: str
    is_loss: bool
    is_repeated: bool
    why: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class LayoutTokens:
    """One layout, segment by segment, and its account."""

    name: str
    segments: tuple[SegmentTokens, ...]
    context: int | None
    visual: str
    special: int
    left: int | None
    most_images: int | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Report `tokens`."""

    model: str
    layouts: tuple[LayoutTokens, ...]

    def tables(self) -> tuple[Table, ...]:
        """The report as one table per layout."""
        if not self.layouts:
            return (Table(f"{self.model} has no layout", ("",), ()),)
        return tuple(self._table(layout) for layout in self.layouts)

    def _table(self, layout: LayoutTokens) -> Table:
        rows = tuple(
            (str(number), _shown(segment), _id(segment), segment.tokens or "text", _remark(segment))
            for number, segment in enumerate(layout.segments, 1)
        )
        notes = (*_derivations(layout), *_account(layout))
        heading = f"{self.model}: layout {layout.name}"
        return Table(
            heading, ("#", "segment", "id", "tokens", ""), rows, frozenset({0, 2, 3}), notes
        )


def tokens(program: Program) -> Tokens:
    """Account for every layout of a program."""
    return Tokens(title(program), tuple(map(_layout, ledgers(program))))


def _layout(ledger: Ledger) -> LayoutTokens:
    return LayoutTokens(
        name=ledger.layout,
        segments=tuple(map(_segment, ledger.entries)),
        context=ledger.context,
        visual=str(ledger.visual),
        special=ledger.special,
        left=ledger.left,
        most_images=ledger.most_images,
    )


def _segment(entry: Entry) -> SegmentTokens:
    count = "" if entry.tokens is None else str(entry.tokens)
    if entry.limit is not None:
        count = f"<= {entry.limit}"
    return SegmentTokens(
        kind=entry.kind,
        text=entry.text,
        id=entry.id,
        tokens=count,
        value=entry.value,
        is_loss=entry.is_loss,
        is_repeated=entry.is_repeated,
        why=_why(entry) if entry.kind == "image" else (),
    )


def _why(entry: Entry) -> tuple[Reason, ...]:
    source = entry.tokens.why if entry.tokens is not None else None
    if source is None:
        return ()
    return tuple(
        Reason(step.text, f"{step.span.file.name}:{step.span.line}" if step.span else "")
        for step in source.chain(STEPS)
    )


def _shown(segment: SegmentTokens) -> str:
    match segment.kind:
        case "text":
            return quoted(segment.text)
        case "slot":
            return f"{{{segment.text}}}"
        case "image":
            return f"{segment.text} = {segment.value}"
        case _:
            return segment.text


def quoted(text: str) -> str:
    """A text in quotes on one line."""
    for character, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(character, written)
    return f'"{text}"'


def _id(segment: SegmentTokens) -> str:
    return "" if segment.id is None else str(segment.id)


def _remark(segment: SegmentTokens) -> str:
    marks = {
        "per image": segment.kind == "image",
        "loss": segment.is_loss,
        "repeats": segment.is_repeated,
    }
    return ", ".join(name for name, is_so in marks.items() if is_so)


def _derivations(layout: LayoutTokens) -> tuple[str, ...]:
    lines: list[str] = []
    for segment in layout.segments:
        if not segment.why:
            continue
        lines += ["", f"{segment.text} takes {segment.tokens} tokens per image:"]
        width = max(len(step.text) for step in segment.why)
        lines += [f"  {step.text.ljust(width)}  {step.line}".rstrip() for step in segment.why]
    return tuple(lines)


def _account(layout: LayoutTokens) -> tuple[str, ...]:
    if layout.context is None:
        return ()
    visual = f"({layout.visual})" if layout.left is None else str(layout.visual)
    start = f"context {exact(layout.context)} - {visual} visual - {layout.special} named"
    if layout.left is None:
        return ("", start)
    lines = ["", f"{start} = {exact(layout.left)} left for text"]
    if layout.most_images is not None:
        lines.append(f"at most {layout.most_images} images fit without any text")
    return tuple(lines)
