"""`naming` and `weights` sections: rules with their numbers worked out, checked against the parts."""

import re
from collections.abc import Iterable
from enum import Enum

from lmmdsl.diag.codes.weights import UnknownMappedPart
from lmmdsl.diag.suggest import within
from lmmdsl.graph.ir import Definition, Instance, NamingRule, Param, Stack
from lmmdsl.sema import expr, operators
from lmmdsl.sema.context import Context
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span

_SHIFT = re.compile(r"(?<=\{i[+-])[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(?=\})")


class Standing(Enum):
    """What a rule's path is to a definition."""

    PRESENT = 1
    LEFT_OUT = 2  # the block may have it, this binding does not
    UNKNOWN = 3


def declared_names(items: Iterable[object]) -> frozenset[str]:
    """Names of all parts that a block may have, whatever its conditions."""
    found: set[str] = set()
    for item in items:
        match item:
            case ast.PartDecl(name=name) | ast.LearnedDecl(name=name):
                found.add(name)
            case ast.If(yes=yes, no=no):
                found |= declared_names((*yes, *no))
            case ast.For(body=body):
                found |= declared_names(body)
    return frozenset(found)


def naming_rules(item: ast.Naming, ctx: Context) -> list[NamingRule]:
    """Rules of a `naming` or `weights` section, their numbers worked out."""
    rules = []
    for line in item.lines:
        groups = 1
        if line.groups is not None:
            groups = (
                operators.number(expr.evaluate(line.groups, ctx), "groups", line.span, ctx) or 1
            )
        theirs = tuple(numbered(name, line.span, ctx) for name in line.theirs)
        rules.append(
            NamingRule(
                line.ours,
                theirs,
                line.span,
                groups,
                line.transposed,
                line.squeezed,
                line.scheme,
            )
        )
    return rules


def numbered(name: str, at: Span, ctx: Context) -> str:
    """A name whose layers count on from a number of the model: `{i+text.depth}` is `{i+6}`."""

    def count(match: re.Match[str]) -> str:
        here = within(at, match[0]) or at
        first, *rest = match[0].split(".")
        path: ast.Expr = ast.Name(span=here, name=first)
        for step in rest:
            path = ast.Member(span=here, base=path, name=step, name_span=here)
        shift = operators.number(expr.evaluate(path, ctx), "the first layer", here, ctx)
        return str(shift or 0)

    return _SHIFT.sub(count, name)


def checked_rules(
    scheme: str, rules: Iterable[NamingRule], definition: Definition, ctx: Context
) -> tuple[NamingRule, ...]:
    """The rules whose parts this binding has.

    Reports:
        E0708 for a rule that names no part that the block could have.
    """
    kept = []
    for rule in rules:
        standings = {path: standing(definition, path) for path in rule.ours}
        for path, found in standings.items():
            if found is Standing.UNKNOWN:
                known = near_paths(definition, path)
                ctx.sink.add(
                    UnknownMappedPart(at=rule.span, scheme=scheme, path=path, candidates=known)
                )
        if all(found is Standing.PRESENT for found in standings.values()):
            kept.append(rule)
    return tuple(kept)


def near_paths(definition: Definition, path: str) -> tuple[str, ...]:
    """Paths that differ from an unknown one in the first name that is unknown."""
    steps = path.split(".")
    for place in range(len(steps)):
        if standing(definition, ".".join(steps[: place + 1])) is Standing.UNKNOWN:
            owner = _holder(definition, steps[:place])
            paths = [".".join((*steps[:place], name, *steps[place + 1 :])) for name in owner]
            real = [path for path in paths if standing(definition, path) is not Standing.UNKNOWN]
            return tuple(real or paths)
    return ()


def _holder(definition: Definition, steps: list[str]) -> tuple[str, ...]:
    for step in steps:
        match definition.parts.get(step):
            case Instance(definition=inner):
                definition = inner
            case Stack(definitions=layers):
                definition = layers[0]
    return tuple(definition.parts)


def standing(definition: Definition, path: str) -> Standing:
    """Whether a dotted path is a part of the tree, one that this binding leaves out, or unknown."""
    head, _, rest = path.partition(".")
    found = definition.find(head)
    if found is None:
        return Standing.LEFT_OUT if head in definition.declared else Standing.UNKNOWN
    part = found[1]
    match part:
        case Param():
            return Standing.UNKNOWN if rest else Standing.PRESENT
        case Instance(definition=inner):
            return standing(inner, rest) if rest else Standing.PRESENT
        case Stack(definitions=layers):
            number, _, inner_path = rest.partition(".")
            if not rest:
                return Standing.PRESENT
            if not number.isdigit():  # every layer that has it; the name says `{i}`
                kinds = [standing(layer, rest) for layer in dict.fromkeys(layers)]
                return min(kinds, key=lambda kind: kind.value)
            if int(number) >= len(layers):
                return Standing.UNKNOWN
            return standing(layers[int(number)], inner_path) if inner_path else Standing.PRESENT
