"""Several models in one table, one row each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmmdsl.backends.report.components import components, connection, language_model
from lmmdsl.backends.report.entry import entry
from lmmdsl.backends.report.facts import image_tokens, resolution, title
from lmmdsl.backends.report.stats import Stats, stats
from lmmdsl.backends.report.table import Table
from lmmdsl.backends.report.training import Additions, additions
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.ledger import ledgers
from lmmdsl.passes.stages import PartTraining
from lmmdsl.text.amount import short


@dataclass(frozen=True, slots=True)
class Row:
    """One model. Parameters are those in use, per part; `trained` is what each stage trains, and how much."""

    model: str
    source: str
    encoder: str
    resolution: str
    tokens_per_image: str
    connector: str
    llm: str
    entry: str
    parameters: tuple[tuple[str, int], ...]
    total: int
    trained: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Report `compare`."""

    rows: tuple[Row, ...]

    def tables(self) -> tuple[Table, ...]:
        """The report as one table."""
        columns = (
            "model", "encoder", "image", "tokens / image", "connector", "LLM", "visual tokens enter",
            "parameters", "total", "trained per stage", "source",
        )  # fmt: skip
        rows = tuple(map(_cells, self.rows))
        return (Table("Models", columns, rows, frozenset({3, 8})),)


def compare(programs: Sequence[Program]) -> Comparison:
    """Line up models."""
    return Comparison(tuple(map(_row, programs)))


def _row(program: Program) -> Row:
    counted = stats(program)
    return Row(
        model=title(program),
        source=program.source,
        encoder=components(program, "encoder"),
        resolution=resolution(program),
        tokens_per_image=_tokens(program),
        connector=connection(program),
        llm=language_model(program),
        entry=entry(program),
        parameters=tuple((part.name, part.used) for part in counted.parts),
        total=counted.used,
        trained=tuple(_trained(program, counted)),
    )


def _tokens(program: Program) -> str:
    """Visual tokens of an image: those in the layouts, and those that layers read beside the text."""
    spans = (
        entry for ledger in ledgers(program) for entry in ledger.entries if entry.kind == "image"
    )
    counts = dict.fromkeys((span.text, str(span.tokens)) for span in spans)
    first = next(iter(counts), ("", ""))[0]
    found = [tokens if text == first else f"{tokens} per {text}" for text, tokens in counts]
    graph = program.root.methods.get("encode")
    if graph is not None and any(item.values for item in program.injections):
        rows = graph.type_of(graph.outputs[0][1]).shape[1]
        found.append(f"{rows} beside the text")
    return ", ".join(found) or image_tokens(program)


def _trained(program: Program, counted: Stats) -> Iterator[tuple[str, str, int]]:
    added = additions(program)
    for stage, counts in zip(program.stages, counted.stages, strict=True):
        parts = (f"{part.part}{_how(part, stage, added)}" for part in counts.parts)
        trained = (text for text, part in zip(parts, counts.parts, strict=True) if _learns(part))
        yield stage.name, ", ".join(trained), counts.trained


def _learns(part: PartTraining) -> bool:
    return part.state != "frozen"


def _how(part: PartTraining, stage: Stage, added: Additions) -> str:
    """What of a part trains, unless all of it does."""
    match part.state:
        case "adapters":
            return " (LoRA)"
        case "partly":
            return f" ({added.told(part, stage) or 'partly'})"
        case _:
            return ""


def _cells(row: Row) -> tuple[str, ...]:
    parameters = ", ".join(f"{name} {short(count)}" for name, count in row.parameters)
    stages = (
        f"{stage}: {parts or 'nothing'} ({short(count)})" for stage, parts, count in row.trained
    )
    trained = "; ".join(stages)
    return (
        row.model, row.encoder, row.resolution, row.tokens_per_image or "-", row.connector, row.llm, row.entry,
        parameters, short(row.total), trained or "-", row.source,
    )  # fmt: skip
