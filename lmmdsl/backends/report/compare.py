"""Several models in one table, one row each."""

from collections.abc import Sequence
from dataclasses import dataclass

from lmmdsl.backends.report.facts import (
    definition_of,
    entry,
    image_tokens,
    resolution,
    sizes_of,
    title,
)
from lmmdsl.backends.report.stats import Stats, stats
from lmmdsl.backends.report.table import Table
from lmmdsl.graph.program import Program
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
        encoder=_block(program, "encoder"),
        resolution=resolution(program),
        tokens_per_image=_tokens(program, counted),
        connector=_block(program, "connector"),
        llm=_block(program, "llm"),
        entry=entry(program),
        parameters=tuple((part.name, part.used) for part in counted.parts),
        total=counted.used,
        trained=_trained(counted),
    )


def _tokens(program: Program, counted: Stats) -> str:
    """Visual tokens of an image: those in the layouts, and those that layers read beside the text."""
    found = list(dict.fromkeys(layout.tokens_per_image for layout in counted.layouts))
    graph = program.root.methods.get("encode")
    if graph is not None and any(item.values for item in program.injections):
        rows = graph.type_of(graph.outputs[0][1]).shape[1]
        found = [*(tokens for tokens in found if tokens != "0"), f"{rows} beside the text"]
    return ", ".join(found) if found else image_tokens(program)


def _block(program: Program, kind: str) -> str:
    definition = definition_of(program, kind)
    return sizes_of(definition) if definition else "-"


def _trained(counted: Stats) -> tuple[tuple[str, str, int], ...]:
    words = {"trained": "", "partly": " (partly)", "adapters": " (LoRA)"}
    return tuple(
        (
            stage.name,
            ", ".join(
                f"{part.part}{words[part.state]}" for part in stage.parts if part.state in words
            ),
            stage.trained,
        )
        for stage in counted.stages
    )


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
