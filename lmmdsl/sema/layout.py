"""Vocabulary and token layouts: ids, visual spans, and the context budget.

A placeholder may have an id outside the vocabulary (a negative one): it is replaced before anything is looked up.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lmmdsl.diag.codes.emit import NotInBackend
from lmmdsl.diag.codes.layout import (
    ContextOverflow,
    DuplicateId,
    IdOutsideVocabulary,
    NoPlaceholderId,
    NotVisual,
    UnknownToken,
    VocabularyRows,
)
from lmmdsl.diag.codes.sequence import AnswerTurn
from lmmdsl.diag.codes.types import UnknownSetting, WrongKind
from lmmdsl.diag.suggest import within
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.graph.program import Group, Image, Layout, Segment, Slot, Text, Token, Turn, Vocab
from lmmdsl.sema import calls, expr, operators
from lmmdsl.sema.context import Context
from lmmdsl.sema.model import Splice
from lmmdsl.sema.overrides import Overrides
from lmmdsl.sema.values import Poison, Tensor, describe
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span

SETTINGS = ("base", "pad_to")


@dataclass(frozen=True)
class Room:
    """What the LLM offers: rows of its embedding, and its context length."""

    rows: Dim | None
    context: Dim | None


def build_vocab(
    items: list[ast.Vocabulary], room: Room, overrides: Overrides, ctx: Context
) -> Vocab:
    """Named tokens with their ids.

    Reports:
        E0502 for an id that the embedding lacks, E0505 for one id with two names, E0506 when base, tokens and
        padding do not give the LLM's rows, E0308 for an unknown setting.
    """
    tokens: dict[str, int] = {}
    spans: dict[int, tuple[str, Span]] = {}
    numbers: dict[str, Dim] = {}
    for item in items:
        for rule in item.rules:
            rule = _overridden(rule, overrides)
            value = expr.evaluate(rule.value, ctx)
            number = operators.number(value, rule.name, rule.value.span, ctx)
            if number is None or not isinstance(value, Dim):
                continue
            if rule.name.startswith("<"):
                _token(rule, number, room, tokens, spans, ctx)
            elif rule.name in SETTINGS:
                numbers[rule.name] = value
            else:
                ctx.sink.add(
                    UnknownSetting(
                        at=within(rule.span, rule.name) or rule.span,
                        section="vocab",
                        name=rule.name,
                        candidates=SETTINGS,
                    )
                )
    span = items[0].span if items else None
    if span and "base" in numbers and room.rows is not None:
        _check_rows(numbers, tokens, room.rows, span, ctx)
    return Vocab(room.rows.value if room.rows else None, tokens, span)


def _overridden(rule: ast.Setting, overrides: Overrides) -> ast.Setting:
    change = overrides.take(("vocab", rule.name.strip("<>|/")))
    return ast.Setting(span=change.span, name=rule.name, value=change.value) if change else rule


def _token(
    rule: ast.Setting,
    number: int,
    room: Room,
    tokens: dict[str, int],
    spans: dict[int, tuple[str, Span]],
    ctx: Context,
) -> None:
    if room.rows is not None and number >= room.rows.value:
        ctx.sink.add(IdOutsideVocabulary(at=rule.span, token=rule.name, id=number, rows=room.rows))
    # One id may serve as end and padding in published models; an image placeholder must be its own.
    if number in spans and "image" in rule.name + spans[number][0]:
        other, first = spans[number]
        ctx.sink.add(
            DuplicateId(at=rule.span, token=rule.name, id=number, other=other, first=first)
        )
    tokens[rule.name] = number
    spans.setdefault(number, (rule.name, rule.span))


def _check_rows(
    numbers: dict[str, Dim], tokens: dict[str, int], rows: Dim, span: Span, ctx: Context
) -> None:
    base = numbers["base"]
    needed = max([base.value, *(number + 1 for number in tokens.values())])
    multiple = numbers["pad_to"].value if "pad_to" in numbers else 1
    padded = -(-needed // max(multiple, 1)) * max(multiple, 1)
    if padded != rows.value:
        causes = tuple(number.why for number in numbers.values() if number.why)
        steps = f"{needed} rows are needed, {padded} when padded to a multiple of {multiple}"
        declared = Dim.of(padded, Why(steps if multiple > 1 else f"{needed} rows", None, causes))
        ctx.sink.add(VocabularyRows(at=span, declared=declared, rows=rows))


def check_turn(item: ast.LayoutDecl, *, reads: bool, ctx: Context) -> None:
    """A layout says where the answer begins just where an LLM reads prompts with an encoder of its own (else E0517)."""
    segments = list(_flat(item.segments))
    turns = [segment.span for segment in segments if isinstance(segment, ast.TurnSegment)]
    if reads and not turns:
        slots = [s for s in segments if isinstance(s, ast.SlotSegment) and s.mark == "loss"]
        at = slots[0].span if slots else within(item.span, item.name) or item.span
        ctx.sink.add(AnswerTurn(at=at, layout=item.name, reads=True, before=bool(slots)))
    for turn in turns[1:] if reads else turns:
        ctx.sink.add(AnswerTurn(at=turn, layout=item.name, reads=reads))


def _flat(segments: Iterable[ast.Segment]) -> Iterator[ast.Segment]:
    for segment in segments:
        yield from _flat(segment.segments) if isinstance(segment, ast.RepeatSegment) else (segment,)


def build_layout(
    item: ast.LayoutDecl, vocab: Vocab, room: Room, ctx: Context
) -> tuple[Layout, list[Splice]]:
    """The segments of a layout, and where visual rows enter.

    Reports:
        E0504 for tokens without an id, E0507 for spans and placeholders that no tensor fills, E0508 for a span
        whose token has no id, E0503 when one image and the fixed text already exceed the context.
    """
    splices: list[Splice] = []
    segments = tuple(
        segment for source in item.segments if (segment := _segment(source, vocab, splices, ctx))
    )
    layout = Layout(item.name, segments, item.span)
    for span in _bare(item.segments, set(_filled(segments))):
        ctx.sink.add(NotVisual(at=span, found=f"a bare `{span.text}`"))
    _check_context(layout, room, item.span, ctx)
    return layout, splices


def _filled(segments: Iterable[Segment]) -> Iterator[str]:
    """Names of the placeholders that values fill."""
    for segment in segments:
        match segment:
            case Image(token=token):
                yield token.name
            case Group(segments=inner):
                yield from _filled(inner)


def _bare(segments: Iterable[ast.Segment], placeholders: set[str]) -> Iterator[Span]:
    """Places where a placeholder stands without a value."""
    for segment in segments:
        match segment:
            case ast.TokenSegment(name=name) if name in placeholders:
                yield segment.span
            case ast.RepeatSegment(segments=inner):
                yield from _bare(inner, placeholders)


def distinct_rows(splices: Iterable[Splice], ctx: Context) -> list[Splice]:
    """The visual values of a model, each with its placeholder.

    Reports:
        E0801 for a placeholder that two values fill, and for a value with two placeholders.
    """
    found: list[Splice] = []
    for splice in splices:
        same = [s for s in found if splice.value.value == s.value.value or splice.token == s.token]
        if not same:
            found.append(splice)
        elif (same[0].value.value, same[0].token) != (splice.value.value, splice.token):
            what = "a second value for one placeholder, or a second placeholder for one value"
            ctx.sink.add(NotInBackend(at=splice.span, backend="", what=what))
    return found


def _segment(
    source: ast.Segment, vocab: Vocab, splices: list[Splice], ctx: Context
) -> Segment | None:
    match source:
        case ast.TextSegment(text=text):
            return Text(text)
        case ast.TokenSegment(name=name):
            return _named(name, source.span, vocab, ctx)
        case ast.TurnSegment():
            return Turn()
        case ast.SlotSegment():
            return _slot(source, ctx)
        case ast.RepeatSegment(segments=inner):
            found = tuple(s for item in inner if (s := _segment(item, vocab, splices, ctx)))
            return Group(found)
        case ast.SpanSegment():
            return _image(source, vocab, splices, ctx)


def _slot(source: ast.SlotSegment, ctx: Context) -> Slot | None:
    if source.mark not in (None, "loss"):
        ctx.sink.add(
            UnknownSetting(
                at=within(source.span, source.mark or "") or source.span,
                section="a slot",
                name=source.mark or "",
                candidates=("loss",),
            )
        )
    limit = None
    if source.setting is not None:
        if source.setting.name != "limit":
            ctx.sink.add(
                UnknownSetting(
                    at=within(source.setting.span, source.setting.name) or source.setting.span,
                    section="a slot",
                    name=source.setting.name,
                    candidates=("limit",),
                )
            )
        value = expr.evaluate(source.setting.value, ctx)
        limit = operators.number(value, "limit", source.setting.value.span, ctx)
    return Slot(source.name, source.mark == "loss", limit)


def _image(
    source: ast.SpanSegment, vocab: Vocab, splices: list[Splice], ctx: Context
) -> Image | None:
    value = calls.as_value(expr.evaluate(source.value, ctx), ctx, source.value.span)
    if isinstance(value, Poison):
        return None
    rank = 4 if source.row_end else 3
    if not isinstance(value, Tensor) or len(value.type.shape) != rank:
        found = str(value.type) if isinstance(value, Tensor) else describe(value)
        axes = len(value.type.shape) if isinstance(value, Tensor) else 0
        ended = source.row_end is not None
        ctx.sink.add(NotVisual(at=source.value.span, found=found, rows=ended, axes=axes))
        return None
    if source.name not in vocab.tokens:
        ctx.sink.add(NoPlaceholderId(at=source.span, token=source.name))
        return None
    number = vocab.tokens[source.name]
    token, text = Token(source.name, number), source.value.span.text
    name = text if text.isidentifier() else re.sub(r"\W+", "_", source.name).strip("_")
    splices.append(Splice(value, number, source.span, name))
    counted = [axis for axis in value.type.shape[1:-1] if isinstance(axis, Dim)]
    if len(counted) != rank - 2:
        found = str(value.type)
        ctx.sink.add(
            WrongKind(at=source.span, what="the visual tokens", wanted="counted axes", found=found)
        )
        return None
    if source.row_end is None:
        return Image(token, counted[0], text)
    end = _named(source.row_end, source.span, vocab, ctx)
    rows, columns = counted
    return Image(token, rows * (columns + 1), text, (rows, columns), end) if end else None


def _named(name: str, at: Span, vocab: Vocab, ctx: Context) -> Token | None:
    if name not in vocab.tokens:
        ctx.sink.add(UnknownToken(at=at, name=name, candidates=tuple(vocab.tokens)))
        return None
    return Token(name, vocab.tokens[name])


def _check_context(layout: Layout, room: Room, at: Span, ctx: Context) -> None:
    if room.context is None:
        return
    parts: list[tuple[str, int]] = []
    images: dict[Dim, Dim] = {}
    for segment in layout.segments:
        match segment:
            case Image(tokens=tokens, token=token) if tokens.is_const:
                parts.append((token.name, tokens.value))
                images.setdefault(tokens, tokens)
            case Token(name=name):
                parts.append((name, 1))
            case Text(text=text):
                parts.append((repr(text), 1))  # at least one token, whatever the tokenizer
            case Slot(name=name, limit=limit):
                parts.append((f"{{{name}}}", limit or 1))
    needed = sum(count for _, count in parts)
    if needed > room.context.value:
        ctx.sink.add(
            ContextOverflow(
                at=at,
                parts=tuple(parts),
                needed=needed,
                context=room.context,
                sizes=tuple(images),
            )
        )
