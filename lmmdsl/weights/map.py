"""Weight maps: which tensor of a checkpoint holds each parameter.

Takes the tree of all declared parts and the `naming` lines of its blocks for one scheme; gives a
`WeightMap` that names a `Source` for every parameter. A line names a part (its own lines go on
below it, behind the new prefix), a stack (`{i}` in the name, else `.i` after it, is the layer) or
a parameter. The line nearest to the root wins, and among the lines of one block the most specific.
A part without a line keeps its own name. Lines see through blocks that injections wrapped around
parts: they name the part as if it stood alone, unless they name what the wrapper calls it.
Invariant: first names are unique, or the tensors they name are packed from disjoint rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product

from lmmdsl.diag.codes.names import UnknownMember
from lmmdsl.diag.codes.naming import NamingLine
from lmmdsl.diag.codes.weights import NameTwice, NotMapped, UnknownScheme
from lmmdsl.diag.sink import Sink
from lmmdsl.graph.ir import Definition, Instance, NamingRule, Param, Part, Stack
from lmmdsl.graph.program import Program
from lmmdsl.text.source import Span
from lmmdsl.weights.pattern import LAYER, fill, has_layer, join
from lmmdsl.weights.table import Table, find_part, is_added, starred, wrapped

Path = tuple[str, ...]
MOST_NAMES = 64  # alternatives of one parameter


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a packed tensor that belong to a parameter.

    The tensor has `groups` equal groups of rows; in each, the parameter has `count` rows from
    `start` on.
    """

    start: int
    count: int
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint keeps a parameter.

    Attributes:
        names: accepted names, first the one that is written.
        shape: shape of the stored tensor.
        rows: the parameter's rows, counted after transposing; None when it is the whole tensor.
        transposed: whether the stored tensor is `[columns, rows]`.
        squeezed: whether the stored tensor lacks the parameter's first axis, which is 1.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    rows: Rows | None = None
    transposed: bool = False
    squeezed: bool = False


@dataclass(frozen=True, slots=True)
class WeightMap:
    """The source of every declared parameter by path; `ignored` are patterns of other names."""

    scheme: str | None
    sources: Mapping[str, Source]
    ignored: tuple[str, ...] = ()


def map_program(program: Program, scheme: str | None, sink: Sink) -> WeightMap:
    """The weight map of a program for a scheme, or for our own names (None).

    Reports:
        E0702 when the program has no such scheme; E0703, E0704 and E0709 about its lines.
    """
    if scheme is None:
        return map_definition(program.full, None, (), program.full.span, sink)
    found = next((w for w in program.weights if w.scheme == scheme), None)
    if found is None:
        known = tuple(w.scheme for w in program.weights)
        sink.add(UnknownScheme(at=program.full.span, scheme=scheme, candidates=known))
        return WeightMap(scheme, {})
    return map_definition(program.full, scheme, found.rules, found.span, sink)


def map_part(program: Program, part: str, scheme: str, prefix: str, sink: Sink) -> WeightMap:
    """The weight map of one top-level part in a checkpoint that its block describes, behind a prefix.

    What injections add to the part is not in it.

    Reports:
        E0206 when there is no such part; E0703 when its block does not name all of it.
    """
    full = program.full
    if part not in full.parts:
        sink.add(
            UnknownMember(at=full.span, owner=full.block, name=part, candidates=tuple(full.parts))
        )
        return WeightMap(scheme, {})
    rule = NamingRule(ours=(part,), theirs=(prefix,), span=full.span)
    params = {
        path: param
        for path, param in full.params()
        if path.partition(".")[0] == part and not is_added(full, tuple(path.split(".")))
    }
    return map_definition(full, scheme, (rule,), full.parts[part].span, sink, params)


def check_maps(program: Program, sink: Sink) -> None:
    """Check every weight map of a program, looking at one layer of each kind.

    Reports:
        E0702, E0703, E0704 and E0709.
    """
    layers = dict(_distinct_params(program.full))
    for item in program.weights:
        quiet = Sink()
        map_definition(program.full, item.scheme, item.rules, item.span, quiet, layers)
        if quiet.has_errors:  # said again with the names and counts of all layers
            map_definition(program.full, item.scheme, item.rules, item.span, sink)


def _distinct_params(definition: Definition, prefix: str = "") -> Iterator[tuple[str, Param]]:
    for part in definition.parts.values():
        path = prefix + part.name
        match part:
            case Param():
                yield path, part
            case Instance():
                yield from _distinct_params(part.definition, path + ".")
            case Stack():
                for layer in dict.fromkeys(part.definitions):
                    index = part.definitions.index(layer)
                    yield from _distinct_params(layer, f"{path}.{index}.")


def map_definition(
    root: Definition,
    scheme: str | None,
    rules: tuple[NamingRule, ...],
    span: Span,
    sink: Sink,
    params: Mapping[str, Param] | None = None,
) -> WeightMap:
    """Compose the lines along the instance tree, starting with `rules` at the root.

    `params` are the parameters to map, by path; None for all of the tree.
    """
    composer = _Composer(root, scheme, rules, sink)
    sources: dict[str, Source] = {}
    lost: list[str] = []
    total, errors = 0, sink.errors
    for name, param in (dict(root.params()) if params is None else params).items():
        total += 1
        source = composer.source(tuple(name.split(".")), param)
        if source is None:
            lost.append(name)
        else:
            sources[name] = source
    if lost and sink.errors == errors:
        sink.add(NotMapped(at=span, scheme=str(scheme), paths=tuple(lost), total=total))
    if sink.errors == errors:
        _check_unique(sources, str(scheme), span, sink)
    return WeightMap(scheme, sources, tuple(composer.ignored))


@dataclass(frozen=True, slots=True)
class _Packed:
    """A line that packs several parts, and how the path went on below the one it names."""

    owner: Definition
    rule: NamingRule
    member: int
    steps: Path
    rest: Path


@dataclass(slots=True)
class _Place:
    """How far a path has been followed."""

    definition: Definition
    scheme: str | None
    names: tuple[str, ...]
    rest: Path
    packed: _Packed | None = None
    transposed: NamingRule | None = None
    squeezed: NamingRule | None = None


@dataclass(slots=True)
class _Composer:
    root: Definition
    scheme: str | None
    rules: tuple[NamingRule, ...]
    sink: Sink
    tables: dict[tuple[int, str | None], Table | None] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)

    def source(self, path: Path, param: Param) -> Source | None:
        """Follow a path from the root down; None when a block on the way lacks the scheme."""
        place = _Place(self.root, self.scheme, ("",), path)
        while place.rest:
            table = self._table(place.definition, place.scheme)
            if table is None:
                return None
            self.ignored |= dict.fromkeys(join(n, t) for n in place.names for t in table.ignored)
            self._step(place, table)
        if (
            self.scheme is None
        ):  # a module's own names go through wrappers; files of the model without them load, too
            place.names = tuple(dict.fromkeys((".".join(path), *place.names)))
        return self._finish(place, param)

    def _table(self, definition: Definition, scheme: str | None) -> Table | None:
        key = (id(definition), scheme)
        if key not in self.tables:
            self.tables[key] = self._make_table(definition, scheme)
        return self.tables[key]

    def _make_table(self, definition: Definition, scheme: str | None) -> Table | None:
        rules = self.rules if definition is self.root else definition.naming.get(scheme or "")
        if rules is None:
            # Blocks without any naming keep their own names; one that names other schemes is a gap.
            return None if scheme and definition.naming else Table({}, ())
        lines: dict[Path, tuple[NamingRule, int]] = {}
        for rule in rules:
            for member, ours in enumerate(rule.ours):
                key = self._key(definition, rule, ours, scheme)
                if key in lines:
                    self._report(rule, "another line names it too", scheme, ours)
                if key:
                    lines.setdefault(key, (rule, member))
        ignored = tuple(name for rule in rules if not rule.ours for name in rule.theirs)
        return Table(lines, ignored)

    def _key(
        self, definition: Definition, rule: NamingRule, ours: str, scheme: str | None
    ) -> Path | None:
        key = starred(definition, ours.split("."))
        if key is None:
            return None  # a part that this binding lacks; misspelt lines were refused before
        if "*" in key and not all(map(has_layer, rule.theirs)):
            self._report(rule, f"the name must say `{LAYER}` where the layer goes", scheme, ours)
        return key

    def _step(self, place: _Place, table: Table) -> None:
        found = table.match(place.rest, wrapped(place.definition, place.rest))
        if found is None:
            self._own_name(place)
            return
        length, rule, member = found
        steps, rest = place.rest[:length], place.rest[length:]
        part = find_part(place.definition, steps)
        if isinstance(part, Stack):
            layer, rest = rest[0], rest[1:]
            theirs = [t if has_layer(t) else join(t, LAYER) for t in rule.theirs]
            steps = (*steps, layer)
        else:
            theirs = list(rule.theirs)
            layer = next((step for step in reversed(steps) if step.isdigit()), "0")
        if len(rule.ours) > 1:
            if place.packed:
                self._report(rule, "it is packed already", place.scheme, rule.ours[member])
            place.packed = _Packed(place.definition, rule, member, steps, rest)
        if rule.transposed:
            place.transposed = rule
        if rule.squeezed:
            place.squeezed = rule
        filled = [fill(name, int(layer)) for name in theirs]
        place.names = self._names(place.names, filled, rule, place.scheme)
        place.scheme = rule.scheme or place.scheme
        self._enter(place, part, steps, rest)
        if rule.scheme and _lacks(place.definition, rule.scheme):
            known = tuple(place.definition.naming)
            self.sink.add(UnknownScheme(at=rule.span, scheme=rule.scheme, candidates=known))

    def _own_name(self, place: _Place) -> None:
        part = place.definition.parts[place.rest[0]]
        length = 2 if isinstance(part, Stack) else 1
        steps, rest = place.rest[:length], place.rest[length:]
        if steps != (place.definition.wraps,):
            place.names = tuple(join(name, ".".join(steps)) for name in place.names)
        self._enter(place, part, steps, rest)

    def _enter(self, place: _Place, part: Part | None, steps: Path, rest: Path) -> None:
        match part:
            case Instance():
                place.definition = part.definition
            case Stack():
                place.definition = part.definitions[int(steps[-1])]
            case _:
                pass
        place.rest = rest

    def _names(
        self, heads: tuple[str, ...], tails: list[str], rule: NamingRule, scheme: str | None
    ) -> tuple[str, ...]:
        if len(heads) * len(tails) > MOST_NAMES:
            self._report(rule, f"more than {MOST_NAMES} alternatives", scheme, " ".join(rule.ours))
            return heads
        return tuple(dict.fromkeys(join(head, tail) for head, tail in product(heads, tails)))

    def _finish(self, place: _Place, param: Param) -> Source:
        shape = tuple(size.value for size in param.shape)
        rows, squeezed = None, place.squeezed
        if squeezed is not None and shape[:1] != (1,):
            self._report(squeezed, "its first axis is not 1", place.scheme, squeezed.ours[0])
        elif squeezed is not None:
            shape = shape[1:]
        if place.packed:
            rows, total = self._rows(place.packed, shape, place.scheme)
            shape = (total, *shape[1:])
        transposed = place.transposed is not None and len(shape) == 2
        shape = shape[::-1] if transposed else shape
        return Source(place.names, shape, rows, transposed, squeezed is not None)

    def _rows(
        self, packed: _Packed, shape: tuple[int, ...], scheme: str | None
    ) -> tuple[Rows | None, int]:
        """The rows of the parameter in the packed tensor, and how many rows that has."""
        rule = packed.rule
        counts = []
        for ours in rule.ours:
            other = find_part(packed.owner, (*_like(ours, packed), *packed.rest))
            sizes = tuple(s.value for s in other.shape) if isinstance(other, Param) else ()
            if sizes[1:] != shape[1:] or not sizes or sizes[0] % rule.groups:
                problem = f"`{ours}` does not fit beside `{rule.ours[packed.member]}`"
                self._report(rule, problem, scheme, " ".join(rule.ours))
                return None, shape[0] if shape else 1
            counts.append(sizes[0] // rule.groups)
        start = sum(counts[: packed.member])
        return Rows(start, counts[packed.member], rule.groups), sum(counts) * rule.groups

    def _report(self, rule: NamingRule, problem: str, scheme: str | None, line: str) -> None:
        self.sink.add(NamingLine(at=rule.span, scheme=str(scheme), line=line, problem=problem))


def _like(ours: str, packed: _Packed) -> Iterator[str]:
    """The steps of another member of a packed line, in the same layers."""
    layers = iter(step for step in packed.steps if step.isdigit())
    definition = packed.owner
    for step in ours.split("."):
        yield step
        found = definition.find(step)
        if found and isinstance(found[1], Stack):
            yield next(layers, "0")
        definition = (_inner(found[1]) if found else None) or definition


def _lacks(definition: Definition, scheme: str) -> bool:
    return bool(definition.naming) and scheme not in definition.naming


def _inner(part: Part | None) -> Definition | None:
    match part:
        case Instance():
            return part.definition
        case Stack():
            return part.definitions[0] if part.definitions else None
        case _:
            return None


def _check_unique(sources: Mapping[str, Source], scheme: str, span: Span, sink: Sink) -> None:
    holders: dict[str, list[str]] = {}
    for path, source in sources.items():
        holders.setdefault(source.names[0], []).append(path)
    for name, paths in holders.items():
        if len(paths) > 1 and _overlap([sources[path] for path in paths]):
            sink.add(NameTwice(at=span, scheme=scheme, name=name, paths=tuple(paths)))


def _overlap(sources: list[Source]) -> bool:
    layouts = {(source.shape, source.rows and source.rows.groups) for source in sources}
    spans = sorted((s.rows.start, s.rows.start + s.rows.count) for s in sources if s.rows)
    apart = all(left[1] <= right[0] for left, right in pairwise(spans))
    return len(layouts) > 1 or len(spans) < len(sources) or not apart
