"""The inside of a card: a line for each part, repeats folded; what injections add stands in the line of its host.

Numbers of a host are without what injections add to it. A stage colours each line by what it trains there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmmdsl.backends.dot.figure import Line
from lmmdsl.backends.dot.signs import TIMES
from lmmdsl.graph.ir import Definition, Instance, Param, Part, Stack
from lmmdsl.graph.program import Program, Stage, Woven
from lmmdsl.passes.count import Parameters, find_part
from lmmdsl.passes.stages import outermost, state_of
from lmmdsl.text.amount import short

MAX_LINES = 6


@dataclass(frozen=True, slots=True)
class Inside:
    """Writes the lines of cards.

    Attributes:
        stage: whose training colours the lines, if any.
    """

    program: Program
    stage: Stage | None
    used: Parameters

    def lines(self, path: str, declared: Definition, live: Definition) -> tuple[Line, ...]:
        """The inside of the part at a path: as it is declared, and what of it is used."""
        lines = [
            line
            for part in declared.parts.values()
            if part.name in live.parts and not isinstance(part, Param)
            for line in self._part(f"{path}.{part.name}", part, live.parts[part.name])
        ]
        own = [n for n, part in live.parts.items() if isinstance(part, Param)]
        if own and lines:
            amount = sum(self.used.of_part(live.parts[name]).total for name in own)
            tone = self._tone([f"{path}.{name}" for name in own])
            lines.insert(0, Line(", ".join(own), short(amount), tone=tone))
        return tuple(lines) if len(lines) <= MAX_LINES else _fewer(lines)

    def _part(self, path: str, declared: Part, live: Part) -> Iterator[Line]:
        added = [item for item in self.program.injections if _is_at(item, path)]
        inside = tuple(self._woven(item) for item in added)
        amount = self.used.of_part(live).total - sum(map(self._amount, added))
        tone = self._tone([path], [p for item in added for p in self._paths(item)])
        if not isinstance(live, Stack) or not isinstance(declared, Stack):
            yield Line(declared.name, short(amount), tone=tone, inside=inside)
            return
        layers = list(map(unwrapped, live.definitions))
        inside = (*self._rare(layers), *inside)
        names = " | ".join(dict.fromkeys(layer.block for layer in layers))
        alike = len({self.used.of(layer).total for layer in layers}) == 1
        each = f"{short(amount // len(layers))} each" if alike else ""
        yield Line(names, each, f"{len(layers)} {TIMES}", tone=tone, inside=inside)
        idle = len(declared.definitions) - len(layers)
        if idle:
            which = "last layer" if idle == 1 else f"last {idle} layers"
            yield Line(f"{which}: not used", is_muted=True)

    def _rare(self, layers: list[Definition]) -> Iterator[Line]:
        """Parts that some layers of a stack have and others have not."""
        names = dict.fromkeys(name for layer in layers for name in layer.parts)
        holders: dict[tuple[int, ...], list[str]] = {}
        for name in names:
            places = tuple(k for k, layer in enumerate(layers) if name in layer.parts)
            if len(places) < len(layers):
                holders.setdefault(places, []).append(name)
        for places, held in holders.items():
            parts = [layers[k].parts[name] for k in places for name in held]
            amount = short(sum(self.used.of_part(part).total for part in parts))
            yield Line(f"{', '.join(held)} {which(places)}", amount, f"{len(places)} {TIMES}")

    # ---- what injections add ---------------------------------------------------------------------

    def _woven(self, item: Woven) -> Line:
        where = item.selector.partition(".")[2] or item.selector
        where = f"{where} on {item.token}" if item.token else where
        count = f"{len(item.paths)} {TIMES}" if len(item.paths) > 1 else ""
        value = " · ".join(filter(None, (short(self._amount(item)), self._when(item))))
        tone = self._tone(list(self._paths(item)))
        return Line(f"{item.what} {item.verb} {where}", value, count, tone=tone)

    def _amount(self, item: Woven) -> int:
        """Parameters that an injection adds."""
        return sum(self.used.of_path(self.program.root, path).total for path in self._paths(item))

    def _paths(self, item: Woven) -> Iterator[str]:
        """Paths of what an injection adds: the parts of its wrappers but for what they wrap."""
        for path in item.paths:
            part = find_part(self.program.root, path)
            wrapper = part.definition if isinstance(part, Instance) else None
            while wrapper and wrapper.wraps and not _adds(wrapper, item):
                path = f"{path}.{wrapper.wraps}"
                wrapper = _wrapped(wrapper)
            if wrapper:
                yield from (f"{path}.{name}" for name in wrapper.parts if name != wrapper.wraps)

    def _when(self, item: Woven) -> str:
        """In which stages an injection learns, where no stage colours it."""
        if self.stage is not None or not self.program.stages:
            return ""
        paths = list(self._paths(item))
        stages = [stage.name for stage in self.program.stages if self._trained(paths, stage)]
        return f"trained in {', '.join(stages)}" if stages else "frozen"

    # ---- what a stage trains ---------------------------------------------------------------------

    def _tone(self, paths: Sequence[str], without: Sequence[str] = ()) -> str:
        """The state of what lies at some paths, without what lies at others."""
        if self.stage is None:
            return ""
        used = self._learned(paths) - self._learned(without)
        trained = self._trained(paths, self.stage) - self._trained(without, self.stage)
        rules = [path for rule in self.stage.lora for path in rule.paths]
        adapted = any(_is_within(path, place) for path in rules for place in paths)
        return state_of(used, trained, int(adapted))

    def _learned(self, paths: Sequence[str]) -> int:
        return sum(self.used.of_path(self.program.root, path).learned for path in paths)

    def _trained(self, paths: Sequence[str], stage: Stage) -> int:
        return sum(self._trained_at(path, outermost(stage.train)) for path in paths)

    def _trained_at(self, path: str, trained: tuple[str, ...]) -> int:
        if any(_is_within(path, whole) for whole in trained):
            return self._learned([path])
        return self._learned([inner for inner in trained if _is_within(inner, path)])


def unwrapped(definition: Definition) -> Definition:
    """A block without what injections wrapped around it."""
    while inner := _wrapped(definition):
        definition = inner
    return definition


def _wrapped(definition: Definition) -> Definition | None:
    part = definition.parts.get(definition.wraps)
    return part.definition if isinstance(part, Instance) else None


def which(places: tuple[int, ...]) -> str:
    """Some layers of a stack in words."""
    step = places[1] - places[0] if len(places) > 1 else 0
    if step > 1 and places == tuple(range(places[0], places[-1] + 1, step)):
        return f"in every {_ordinal(step)}"
    first, last = places[0] + 1, places[-1] + 1
    if first == last:
        return f"in layer {first}"
    if last - first + 1 == len(places):
        return f"in layers {first} to {last}"
    return f"in {len(places)} layers"


def _ordinal(number: int) -> str:
    return str(number) + {2: "nd", 3: "rd"}.get(number, "th")


def _adds(wrapper: Definition, item: Woven) -> bool:
    return item.what == wrapper.block or item.what in wrapper.parts


def _is_at(item: Woven, path: str) -> bool:
    return bool(item.paths) and _is_within(item.paths[0], path)


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}.")


def _fewer(lines: list[Line]) -> tuple[Line, ...]:
    """Keep stacks and the first of the rest."""
    room = MAX_LINES - 1 - sum(bool(line.count) for line in lines)
    kept: list[Line] = []
    for line in lines:
        if line.count:
            kept.append(line)
        elif room > 0:
            kept.append(line)
            room -= 1
    return (*kept, Line(f"and {len(lines) - len(kept)} more", is_muted=True))
