"""What differs in structure between two models: parts, sizes, tensors, layouts, vocabulary, stages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from lmmdsl.backends.report.facts import block_of, show, title
from lmmdsl.backends.report.table import CELL, Table
from lmmdsl.backends.report.tokens import quoted
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Instance, Stack
from lmmdsl.graph.program import Program
from lmmdsl.passes.ledger import Entry, ledgers

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; None where a side lacks it."""

    what: str
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Report `diff`."""

    left: str
    right: str
    changes: tuple[Change, ...]

    def tables(self) -> tuple[Table, ...]:
        """The report as one table."""
        rows = tuple(
            (change.what, change.left or "-", change.right or "-") for change in self.changes
        )
        notes = () if rows else ("no difference in structure",)
        names = ("", self.left, self.right)
        return (Table(f"{self.left} -> {self.right}", names, rows, notes=notes),)


def diff(left: Program, right: Program) -> Difference:
    """Compare two programs; layers that are equal on each side count as one.

    The inside of a part that is new, gone or of another block is not listed.
    """
    a, b = _facts(left), _facts(right)
    changes = {
        key: Change(key, a.get(key), b.get(key))
        for key in dict.fromkeys((*a, *b))
        if a.get(key) != b.get(key)
    }
    kept = (change for change in changes.values() if not _is_implied(change, changes))
    return Difference(title(left), title(right), tuple(kept))


def _is_implied(change: Change, changes: dict[str, Change]) -> bool:
    """Whether a part that is missing on one side lies inside one that changed as a whole."""
    if change.left is not None and change.right is not None:
        return False
    names = re.split(r"[.(\[]", change.what)
    above = (change.what[: len(".".join(names[:count]))] for count in range(1, len(names)))
    return any(path in changes for path in above)


def _facts(program: Program) -> Facts:
    found: Facts = {}
    roles = {role.part: role.kind for role in program.roles}
    titles = {f"{role.part} as": role.title for role in program.roles if role.title}
    for part in sorted(program.full.parts.values(), key=lambda part: part.span.start):
        found[part.name] = f"{roles.get(part.name, 'part')} {block_of(part)}"
        if isinstance(part, Instance):
            binding = part.definition.binding.items()
            found.update({f"{part.name}({name})": show(value) for name, value in binding})
            found.update(_structure(part.definition, f"{part.name}."))
    found |= titles
    found["context"] = show(program.context)
    found["vocabulary rows"] = show(program.vocab.rows)
    found.update({f"token {name}": str(number) for name, number in program.vocab.tokens.items()})
    found.update(_surroundings(program))
    return found


def _structure(definition: Definition, prefix: str) -> Iterator[tuple[str, str]]:
    for part in definition.parts.values():
        path = f"{prefix}{part.name}"
        yield path, block_of(part)
        match part:
            case Instance():
                yield from _words(part.definition, path)
                yield from _structure(part.definition, f"{path}.")
            case Stack():
                for place, layer in _runs(part):
                    yield from _words(layer, f"{path}[{place}]")
                    yield from _structure(layer, f"{path}[{place}].")


def _words(definition: Definition, path: str) -> Iterator[tuple[str, str]]:
    # Sizes show in the tensors; other settings only here.
    for name, value in definition.binding.items():
        if not isinstance(value, Dim):
            yield f"{path}({name})", show(value)


def _runs(stack: Stack) -> Iterator[tuple[str, Definition]]:
    first, is_uniform = 0, len(set(stack.definitions)) == 1
    for layer, run in groupby(stack.definitions):
        count = len(list(run))
        yield "*" if is_uniform else f"{first}:{first + count}", layer
        first += count


def _surroundings(program: Program) -> Iterator[tuple[str, str]]:
    for ledger in ledgers(program):
        for number, entry in enumerate(ledger.entries, 1):
            yield f"layout {ledger.layout} {number}", _segment(entry)
    for stage in program.stages:
        adapters = [f"LoRA rank {rule.rank} on {len(rule.paths)} parts" for rule in stage.lora]
        yield f"stage {stage.name}", ", ".join([*stage.train, *adapters]) or "nothing"
    for name, settings in program.preprocess.items():
        for key, value in settings.items():
            yield f"preprocess {name}.{key}", show(value)


def _segment(entry: Entry) -> str:
    match entry.kind:
        case "text":
            return quoted(entry.text)
        case "slot":
            return f"{{{entry.text}}}"
        case "image":
            return f"{entry.text} x {entry.tokens}"
        case _:
            return entry.text


def _window(text: str, other: str) -> str:
    """A long text from just before the place where it begins to differ from another."""
    same = next(
        (i for i, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1]), 0
    )
    start = max(same - 16, 0)
    return f"...{text[start:]}" if len(text) > CELL and start else text
