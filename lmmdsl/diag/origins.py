"""Where sizes come from: labels at the numbers as written, notes with the arithmetic between.

A size's `Why` is a tree; its leaves are numbers written in some file, its inner steps are
arithmetic (`336 // 14 = 24`). Leaves become labels ("336 comes from here"), inner steps become one
note per size.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from lmmdsl.diag.model import Applicability, Edit, Label, Suggestion
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.text.source import SourceFile, Span

MOST_LABELS = 4
_LINE = 100

# In front of a number: the argument that it is, and the declaration of the part it belongs to.
_ARGUMENT = re.compile(r"(\w+)\s*=\s*\Z")
_PART = re.compile(r"^[ \t]*(?:\w+[ \t]+)?(\w+)[ \t]*:", re.MULTILINE)

# `width = 1024`: a number that goes by another name, no arithmetic.
_RENAMING = re.compile(r"[\w.]+ = -?\d+")


def leaves(why: Why) -> Iterator[Why]:
    """The steps that nothing led to: numbers as written, in order."""
    return (step for step in why.steps() if not step.inputs)


def comes_from(
    sizes: Iterable[Dim | None], *, but: Iterable[Span | None] = ()
) -> tuple[Label, ...]:
    """A label "N comes from here" at every number that leads to these sizes, at most four.

    Places in `but` are marked already. Numbers in their files come first: where a size has some
    there, the constants of other files (a library's `+ 1`) are not worth a label.
    """
    taken = {span for span in but if span}
    files = {span.file for span in taken}
    found: dict[Span, Label] = {}
    for size in sizes:
        for leaf, span in _places(size, files):
            if span not in taken:
                found.setdefault(span, Label(span, f"{_number(leaf, size)} comes from here"))
    return tuple(found.values())[:MOST_LABELS]


def _places(size: Dim | None, files: set[SourceFile]) -> list[tuple[Why, Span]]:
    if size is None or size.why is None:
        return []
    places = [(leaf, leaf.span) for leaf in leaves(size.why) if leaf.span]
    return [place for place in places if place[1].file in files] or places


def arithmetic(size: Dim | None) -> tuple[str, ...]:
    """The steps that lead to a size (`336 // 14 = 24`, `24 * 24 = 576`), causes first."""
    if size is None or size.why is None:
        return ()
    steps = (step.text for step in size.why.chain() if step.inputs)
    return tuple(text for text in steps if not _RENAMING.fullmatch(text))


def derivations(sizes: Iterable[Dim | None]) -> tuple[str, ...]:
    """One note with the arithmetic of all sizes, if any has some."""
    steps = dict.fromkeys(step for size in sizes for step in arithmetic(size))
    return (told("derived", steps),) if steps else ()


def told(head: str, steps: Iterable[str]) -> str:
    """Steps behind a head: in one line, or one a line where that would be long."""
    steps = tuple(steps)
    line = f"{head}: {', '.join(steps)}"
    return line if len(line) <= _LINE else "\n".join([f"{head}:", *(f"  {s}" for s in steps)])


def bound_so_far(bound: Mapping[str, str]) -> tuple[str, ...]:
    """One note with the axes known at the place, if any."""
    known = [f"{name} = {size}" for name, size in bound.items() if size != f"[{name}]"]
    return (f"bound so far: {', '.join(known)}",) if known else ()


def _number(leaf: Why, size: Dim | None) -> str:
    number = leaf.text.rsplit(" = ", 1)[-1]
    return str(size) if size is not None and size.why is leaf else number


def written_as(size: Dim) -> tuple[Span, str] | None:
    """Where a size is written as an argument of a part, and how else to say it.

    For `1024` in `vision: Vit(width = 1024)` that is the number and `vision.width`; None for sizes
    that are computed, or written anywhere else.
    """
    places = [leaf.span for leaf in leaves(size.why) if leaf.span] if size.why else []
    if len(places) != 1 or places[0].text != str(size):
        return None
    before = places[0].file.text[: places[0].start]
    argument = _ARGUMENT.search(before)
    part = max(_PART.finditer(before), key=lambda match: match.start(), default=None)
    if argument is None or part is None or not _is_open_call(before[part.end() :]):
        return None
    return places[0], f"{part[1]}.{argument[1]}"


def refer_instead(wrong: Dim, right: Dim, *, part: str | None = None) -> tuple[Suggestion, ...]:
    """Replace a number by a reference to another part's number, where each is an argument.

    With `part`, only a number that is an argument of that part is replaced.
    """
    number, reference = written_as(wrong), written_as(right)
    if number is None or reference is None or number[0].file is not reference[0].file:
        return ()
    owner, source = (name.split(".")[0] for name in (number[1], reference[1]))
    if owner == source or part not in (None, owner):
        return ()
    title = f"take the number from `{source}`"
    return (Suggestion(title, (Edit(number[0], reference[1]),), Applicability.LIKELY),)


def _is_open_call(text: str) -> bool:
    return text.count("(") > text.count(")") and "{" not in text and "}" not in text
