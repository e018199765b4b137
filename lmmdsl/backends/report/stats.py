"""What a model costs: parameters, what each stage trains, operations, cache, tokens.

Counts are exact integers. `declared` parameters are those that the spec writes down, `used` those that the
components compute with: a layer that no result needs is declared but not used.
"""

from dataclasses import dataclass, replace

from lmmdsl.backends.report.facts import block_of, title
from lmmdsl.backends.report.table import Table
from lmmdsl.graph.ir import Definition
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.count import Caches, KeptNumbers, Operations, Parameters, concrete
from lmmdsl.passes.keep import STEP, keep, lasting
from lmmdsl.passes.ledger import ledgers
from lmmdsl.passes.route import route
from lmmdsl.passes.stages import PartTraining, count_stage
from lmmdsl.text.amount import exact, share, short, short_bytes, short_operations

TEXT = 64  # text tokens beside one image where no length is asked for
HALF = 2  # bytes of a number in half precision


@dataclass(frozen=True, slots=True)
class PartStats:
    """Parameters of a top-level part."""

    name: str
    role: str
    block: str
    declared: int
    used: int


@dataclass(frozen=True, slots=True)
class StageStats:
    """What one stage trains; `trained` counts adapters too."""

    name: str
    parts: tuple[PartTraining, ...]
    trained: int


@dataclass(frozen=True, slots=True)
class Work:
    """Floating-point operations of a component; None where sizes in `missing` would have to be known."""

    component: str
    sizes: str
    operations: int | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayoutStats:
    """One layout against the context."""

    name: str
    tokens_per_image: str
    special: int
    left: int | None
    most_images: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """Report `stats`.

    `cache_per_token` counts numbers, keys and values of all layers together; `kept` those that a prompt adds to the
    cache once, such as keys and values of cross attention, and at which sizes.
    """

    model: str
    source: str
    parts: tuple[PartStats, ...]
    declared: int
    used: int
    stages: tuple[StageStats, ...]
    length: int
    images: int
    work: tuple[Work, ...]
    cache_per_token: int
    kept: Work
    context: int | None
    layouts: tuple[LayoutStats, ...]

    def tables(self) -> tuple[Table, ...]:
        """The report as tables."""
        made = (self._parameters(), self._stages(), self._work(), self._tokens())
        return tuple(table for table in made if table.rows)

    def _parameters(self) -> Table:
        rows = [
            (
                part.name,
                part.role,
                part.block,
                exact(part.declared),
                exact(part.used),
                short(part.used),
            )
            for part in self.parts
        ]
        rows.append(("total", "", "", exact(self.declared), exact(self.used), short(self.used)))
        idle = self.declared - self.used
        notes = (
            (f"{exact(idle)} declared parameters serve no result and are never loaded",)
            if idle
            else ()
        )
        columns = ("part", "role", "block", "declared", "used", "")
        return Table(f"{self.model}: parameters", columns, tuple(rows), frozenset({3, 4, 5}), notes)

    def _stages(self) -> Table:
        rows = tuple(
            row
            for stage in self.stages
            for row in (*((stage.name, *_training(part)) for part in stage.parts), _whole(stage))
        )
        columns = ("stage", "part", "state", "trained", "share", "adapters")
        return Table("Training stages", columns, rows, frozenset({3, 4, 5}))

    def _work(self) -> Table:
        rows = tuple(
            (work.component, work.sizes, _operations(work), short_operations(work.operations or 0))
            for work in self.work
        )
        columns = ("component", "at", "operations", "")
        return Table("Operations of one forward pass", columns, rows, frozenset({2, 3}))

    def _tokens(self) -> Table:
        rows = [
            (f"layout {layout.name}", f"{layout.tokens_per_image} tokens per image{_left(layout)}")
            for layout in self.layouts
        ]
        if self.context is not None:
            rows.insert(0, ("context", f"{exact(self.context)} tokens"))
        if self.cache_per_token:
            rows.append(("key/value cache", self._cache()))
        if self.kept.operations:
            size = short_bytes(self.kept.operations * HALF)
            rows.append(("kept of the prompt", f"{size} in half precision, at {self.kept.sizes}"))
        return Table("Tokens and cache", ("", ""), tuple(rows))

    def _cache(self) -> str:
        size = self.cache_per_token * HALF
        text = f"{short_bytes(size)} per token in half precision"
        whole = (
            f", {short_bytes(size * self.context)} for the whole context" if self.context else ""
        )
        return f"{text}{whole}"


def stats(program: Program, *, length: int | None = None, images: int = 1) -> Stats:
    """Count what a program costs.

    Args:
        program: the checked model.
        length: tokens of the LLM's sequence for the count of operations; by default the visual tokens of the
            first layout and 64 of text, at most the context.
        images: images per sequence.
    """
    length = length or _length(program, images)
    sizes = _sizes(program, length, images)
    slots = Caches().of(program.root, "decode") if "decode" in program.root.methods else ()
    full, used = Parameters(program.full), Parameters(program.root)
    return Stats(
        model=title(program),
        source=program.source,
        parts=_parts(program, full, used),
        declared=full.of(program.full).total,
        used=used.of(program.root).total,
        stages=tuple(_stage(program, stage) for stage in program.stages),
        length=length,
        images=images,
        work=_all_work(program, sizes),
        cache_per_token=sum(slot.numbers for slot in slots),
        kept=_kept(program.root, sizes),
        context=program.context,
        layouts=_layouts(program),
    )


def _parts(program: Program, full: Parameters, used: Parameters) -> tuple[PartStats, ...]:
    roles = {role.part: role.kind for role in program.roles}
    parts = sorted(program.full.parts.values(), key=lambda part: part.span.start)
    return tuple(
        PartStats(
            name=part.name,
            role=roles.get(part.name, "part"),
            block=block_of(part),
            declared=full.of_part(part).total,
            used=used.of_path(program.root, part.name).total,
        )
        for part in parts
    )


def _stage(program: Program, stage: Stage) -> StageStats:
    parts = count_stage(program, stage)
    return StageStats(stage.name, parts, sum(part.trained + part.adapters for part in parts))


def _length(program: Program, images: int) -> int:
    visual = next((entry.visual for entry in ledgers(program)), None)
    spans = visual.value * images if visual is not None and visual.is_const else 0
    return min(spans + TEXT, program.context or spans + TEXT)


def _sizes(program: Program, length: int, images: int) -> dict[str, int]:
    """Run-time sizes: of an encoder-decoder, N is the prompt and T the answer."""
    sizes = {"I": images, "B": 1, "T": length, "S": length}
    return {**sizes, "N": length, "T": TEXT, "S": TEXT} if "read" in program.root.methods else sizes


def _all_work(program: Program, sizes: dict[str, int]) -> tuple[Work, ...]:
    root, made = route(program.root), []
    for method in root.methods:
        at = {**sizes, "T": 1} if method == "logits" else sizes
        made.append(_work(root, method, at, Operations()))
    if {"decode", "logits"} <= set(root.methods):
        past = Operations(past=sizes["S"] - 1)
        step = [
            _work(keep(root), method, {**sizes, "T": 1}, past) for method in ("decode", "logits")
        ]
        total = sum(work.operations or 0 for work in step)
        made.append(Work("one more token", f"after {sizes['S']} tokens", total))
    return tuple(work for work in made if work.operations != 0)


def _kept(root: Definition, sizes: dict[str, int]) -> Work:
    """What a prompt adds to the cache once, as a count of numbers."""
    if not lasting(root):
        return Work("kept", "", 0)
    work = _work(keep(root), STEP, {**sizes, "T": 1}, KeptNumbers())
    told = (name for name in ("I", "N") if f"{name} = " in work.sizes)
    return replace(work, sizes=", ".join(f"{name} = {sizes[name]}" for name in told))


def _work(root: Definition, method: str, sizes: dict[str, int], counter: Operations) -> Work:
    graph = root.methods[method]
    axes = [axis for value in graph.inputs for axis in graph.type_of(value).shape]
    needed = dict.fromkeys(
        name for axis in axes for name in sorted(getattr(axis, "symbols", set)())
    )
    missing = tuple(name for name in needed if name not in sizes)
    at = ", ".join(f"{name} = {sizes[name]}" for name in needed if name in sizes)
    operations = None if missing else counter.of(root, method, concrete(graph, sizes))
    return Work(method, at, operations, missing)


def _layouts(program: Program) -> tuple[LayoutStats, ...]:
    made = []
    for ledger in ledgers(program):
        spans = dict.fromkeys(
            str(entry.tokens) for entry in ledger.entries if entry.kind == "image"
        )
        text = ", ".join(spans) or "0"
        made.append(
            LayoutStats(ledger.layout, text, ledger.special, ledger.left, ledger.most_images)
        )
    return tuple(made)


def _training(part: PartTraining) -> tuple[str, ...]:
    adapters = exact(part.adapters) if part.adapters else ""
    words = {"adapters": "frozen + LoRA", "partly": "partly trained"}
    state = words.get(part.state, part.state)
    return (part.part, state, exact(part.trained), share(part.trained, part.used), adapters)


def _whole(stage: StageStats) -> tuple[str, ...]:
    used, trained, adapters = (
        sum(getattr(part, name) for part in stage.parts) for name in ("used", "trained", "adapters")
    )
    shares = (exact(trained), share(trained, used), exact(adapters) if adapters else "")
    return (stage.name, "total", "", *shares)


def _operations(work: Work) -> str:
    return (
        exact(work.operations)
        if work.operations is not None
        else f"needs {', '.join(work.missing)}"
    )


def _left(layout: LayoutStats) -> str:
    if layout.left is None:
        return ""
    room = f", {exact(layout.left)} left for text"
    return (
        f"{room}, at most {layout.most_images} images" if layout.most_images is not None else room
    )
