"""Cards of parts: what a part is, its inside folded, its parameters, and when it is trained.

The LLM's card says what a token costs in the cache. One that reads before it answers has two: its encoder, which reads
the prompt, and its decoder with all that both share.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from lmmdsl.backends.dot.figure import Box, Line
from lmmdsl.backends.dot.inside import Inside
from lmmdsl.backends.dot.style import STATE_WORDS
from lmmdsl.backends.dot.words import sizes_of
from lmmdsl.graph.ir import Call, Definition, Instance, Part, Repeat, Stack
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.count import Caches, Parameters
from lmmdsl.passes.stages import PartTraining, count_stage
from lmmdsl.text.amount import exact, short, short_bytes

HALF = 2  # bytes of a number in half precision
READER = "llm.reader"


class Cards:
    """Makes the cards of a program, coloured by what a stage trains if one is given."""

    def __init__(self, program: Program, stage: Stage | None) -> None:
        self.program = program
        self.used = Parameters(program.root)
        self.training = {part.part: part for part in count_stage(program, stage)} if stage else {}
        self._inside = Inside(program, stage, self.used)
        self._roles = {role.part: role.kind for role in program.roles}
        self._titles = {role.part: role.title for role in program.roles}
        self._stages = {} if stage else _stages(program)

    def part(self, part: str, name: str, kind: str = "card") -> Box:
        """The card of a top-level part."""
        declared, used = self.program.full.parts[part], self.program.root.parts[part]
        lines: tuple[Line, ...] = ()
        subtitle = ""
        if isinstance(declared, Instance) and isinstance(used, Instance):
            subtitle = sizes_of(declared.definition)
            lines = self._inside.lines(part, declared.definition, used.definition)
        elif isinstance(declared, Stack):
            subtitle = f"{len(declared.definitions)} × {declared.definitions[0].block}"
        training = self.training.get(part)
        total = self.used.of_part(used).total
        return Box(
            id=name,
            kind=kind,
            title=part,
            subtitle=self._titled(part, subtitle),
            value=short(total) if total else "",
            tag=_tag(training),
            tone=training.state if training else self._roles.get(part, "part"),
            lines=lines,
            note=self._stages.get(part, ""),
        )

    def _titled(self, part: str, about: str) -> str:
        """The published name of a part over how it is built."""
        return "\n".join(filter(None, (self._titles.get(part), about)))

    def llm(self, part: str) -> tuple[Box, ...]:
        """The card of the LLM, behind that of its encoder if it has one."""
        whole = self.part(part, "llm", "wide")
        cache = _notes(whole.note, *_cache(self.program))
        used, full = self.program.root.parts[part], self.program.full.parts[part]
        assert isinstance(used, Instance) and isinstance(full, Instance)
        readers = _called(used.definition, "read")
        if not readers:
            return (replace(whole, note=cache),)
        parts = used.definition.parts.items()
        reads = [inner for name, inner in parts if name in readers]
        answers = [inner for name, inner in parts if name not in readers]
        first = self._some(whole, part, full, reads, READER, whole.note)
        return first, self._some(whole, part, full, answers, "llm", cache)

    def _some(
        self, whole: Box, part: str, full: Instance, inner: list[Part], name: str, note: str
    ) -> Box:
        """A card for some parts of a part; the largest of them is shown from inside."""
        total = sum(self.used.of_part(item).total for item in inner)
        main = max(inner, key=lambda item: self.used.of_part(item).total)
        others = [item for item in inner if item is not main]
        lines: tuple[Line, ...] = ()
        declared = full.definition.parts[main.name]
        if isinstance(main, Instance) and isinstance(declared, Instance):
            path = f"{part}.{main.name}"
            lines = self._inside.lines(path, declared.definition, main.definition)
        known = {item.name: full.definition.parts[item.name] for item in others}
        rest = replace(full.definition, parts=known)
        live = replace(full.definition, parts={item.name: item for item in others})
        return replace(
            whole,
            id=name,
            title=f"{part}.{main.name}",
            subtitle=self._titled(
                part, sizes_of(declared.definition) if isinstance(declared, Instance) else ""
            ),
            value=short(total),
            lines=lines + self._inside.lines(part, rest, live),
            note=note,
        )


def _called(definition: Definition, method: str) -> set[str]:
    """Parts that a method calls."""
    graph = definition.methods.get(method)
    payloads = (node.payload for node in graph.nodes) if graph else ()
    return {p.part.partition(".")[0] for p in payloads if isinstance(p, Call | Repeat)}


def _stages(program: Program) -> dict[str, str]:
    """When each part is trained, over all stages: `trained in pretrain, finetune`, or `frozen`."""
    counted = {stage.name: count_stage(program, stage) for stage in program.stages}
    states: dict[str, dict[str, list[str]]] = {}
    for stage, parts in counted.items():
        for part in parts:
            if part.used or part.adapters:
                states.setdefault(part.part, {}).setdefault(part.state, []).append(stage)
    return {part: _when(found) for part, found in states.items()}


def _when(states: Mapping[str, Iterable[str]]) -> str:
    words = {"trained": "trained in", "partly": "partly trained in", "adapters": "LoRA in"}
    told = (
        f"{word} {', '.join(states[state])}" for state, word in words.items() if state in states
    )
    return "; ".join(told) or STATE_WORDS["frozen"]


def _tag(training: PartTraining | None) -> str:
    if training is None:
        return ""
    if training.state == "adapters":
        return f"+ LoRA {short(training.adapters)}"
    return STATE_WORDS[training.state]


def _cache(program: Program) -> list[str]:
    slots = Caches().of(program.root, "decode")
    notes = []
    if slots:
        size = short_bytes(sum(slot.numbers for slot in slots) * HALF)
        notes.append(f"key/value cache: {len(slots)} layers, {size} per token in half precision")
    if program.context is not None:
        notes.append(f"context {exact(program.context)} tokens")
    return notes


def _notes(*notes: str) -> str:
    return " · ".join(filter(None, notes))
