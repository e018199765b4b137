"""Where sizes come from: labels at the numbers as written, notes with the arithmetic between.

A size's `Why` is a tree; its leaves are numbers written in some file, its inner steps are
arithmetic (`336 // 14 = 24`). Leaves become labels ("336 comes from here"), inner steps become one
note per size.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from lmmdsl.diag.model import Label
from lmmdsl.dims.expr import Dim, Why
from lmmdsl.text.source import SourceFile, Span

MOST_LABELS = 4
_LINE = 100

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


def derivation(size: Dim | None) -> str:
    """The steps in one line, or ""."""
    return ", ".join(arithmetic(size))


def derivations(sizes: Iterable[Dim | None]) -> tuple[str, ...]:
    """One note with the arithmetic of all sizes, if any has some."""
    steps = dict.fromkeys(step for size in sizes for step in arithmetic(size))
    text = f"derived: {', '.join(steps)}"
    if len(text) > _LINE:
        text = "\n".join(["derived:", *(f"  {step}" for step in steps)])
    return (text,) if steps else ()


def bound_so_far(bound: Mapping[str, str]) -> tuple[str, ...]:
    """One note with the axes known at the place, if any."""
    known = [f"{name} = {size}" for name, size in bound.items() if size != f"[{name}]"]
    return (f"bound so far: {', '.join(known)}",) if known else ()


def _number(leaf: Why, size: Dim | None) -> str:
    number = leaf.text.rsplit(" = ", 1)[-1]
    return str(size) if size is not None and size.why is leaf else number
