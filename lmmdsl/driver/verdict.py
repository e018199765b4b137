"""What `verify` found: one answer per question, as data and as a table."""

from dataclasses import dataclass

from lmmdsl.backends.report.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question and its answer.

    Attributes:
        question: what was compared.
        shape: of both values.
        absolute: the largest difference.
        relative: the same, as a part of the largest value.
        limit: what `relative` may be.
        agrees: whether it is within the limit.
        first: the path of the first part that differs, where one was found.
    """

    question: str
    shape: tuple[int, ...]
    absolute: float
    relative: float
    limit: float
    agrees: bool
    first: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All answers about a model."""

    model: str
    variant: str | None
    profile: str
    answers: tuple[Answer, ...]

    @property
    def agrees(self) -> bool:
        """Whether all values agree."""
        return all(answer.agrees for answer in self.answers)

    def tables(self) -> tuple[Table, ...]:
        """The report as a table."""
        title = (
            f"{self.model}{f' {self.variant}' if self.variant else ''}: PyTorch and ONNX Runtime"
        )
        columns = ("question", "shape", "difference", "relative", "limit", "")
        failed = sum(not answer.agrees for answer in self.answers)
        note = (
            f"{failed} of {len(self.answers)} differ"
            if failed
            else f"all {len(self.answers)} agree"
        )
        rows = tuple(map(_row, self.answers))
        return (Table(title, columns, rows, frozenset({2, 3, 4}), (note,)),)


def _row(answer: Answer) -> tuple[str, ...]:
    word = "agrees" if answer.agrees else "DIFFERS"
    place = f", first in `{answer.first}`" if answer.first else ""
    shape = " x ".join(map(str, answer.shape))
    numbers = (f"{answer.absolute:.1e}", f"{answer.relative:.1e}", f"{answer.limit:.0e}")
    return (answer.question, shape, *numbers, word + place)
