"""Selectors over the instance tree: `llm.layers[every 4].attn.{q, v}` to paths of parts."""

from lmmdsl.diag.codes.inject import LayerOutOfRange
from lmmdsl.diag.suggest import nearest
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Instance, Param, Stack
from lmmdsl.sema import expr
from lmmdsl.sema.context import Context
from lmmdsl.sema.derive import depth_of
from lmmdsl.syntax import ast


def select(selector: ast.Selector, root: Definition, ctx: Context) -> tuple[str, ...]:
    """Paths that a selector matches, in tree order; empty when it matches nothing."""
    found: list[tuple[str, object]] = [("", root)]
    for step in selector.steps:
        found = [match for path, item in found for match in _step(step, path, item, ctx)]
    return tuple(path for path, _ in found)


def shown(selector: ast.Selector, ctx: Context) -> str:
    """A selector as it is written, with numbers in the places of their names."""
    text, start = selector.span.text, selector.span.start
    bounds = [bound for step in selector.steps for bound in step.bounds if bound is not None]
    for bound in sorted(bounds, key=lambda bound: bound.span.start, reverse=True):
        value = expr.evaluate(bound, ctx)
        if isinstance(value, Dim) and value.is_const:
            text = text[: bound.span.start - start] + str(value) + text[bound.span.end - start :]
    return text


def near_misses(selector: ast.Selector, root: Definition, ctx: Context) -> tuple[str, ...]:
    """Paths like the selector's longest matching beginning, for the message about one that matches nothing."""
    found: list[tuple[str, object]] = [("", root)]
    for step in selector.steps:
        following = [match for path, item in found for match in _step(step, path, item, ctx)]
        if not following:
            wanted = step.names[0] if step.names else ""
            names = {name: path for path, item in found for name in _known(item)}
            close = nearest(wanted, tuple(names)) or tuple(names)
            return tuple(_respelt(selector, step, wanted, name) for name in close[:5])
        found = following
    return ()


def _respelt(selector: ast.Selector, step: ast.Step, wanted: str, name: str) -> str:
    """The selector with the name of one step replaced, what it picks kept."""
    text, start = selector.span.text, step.span.start - selector.span.start
    if not wanted or not text.startswith(wanted, start):
        return name
    return text[:start] + name + text[start + len(wanted) :]


def _known(item: object) -> tuple[str, ...]:
    """Names of the parts that a definition has, and of those that could not be made."""
    return (*item.parts, *item.declared) if isinstance(item, Definition) else ()


def _step(step: ast.Step, path: str, item: object, ctx: Context) -> list[tuple[str, object]]:
    if step.some:
        return [match for part in step.some for match in _inner(part, path, item, ctx)]
    found = item.find(step.names[0]) if isinstance(item, Definition) else None
    if found is None:
        return []
    here, part = f"{path}.{found[0]}" if path else found[0], found[1]
    match part:
        case Param():
            return [(here, part)] if step.pick is None else []
        case Instance():
            return [(here, part.definition)] if step.pick is None else []
        case Stack():
            if step.pick is None:
                return [(here, part)]
            depth = depth_of(item, part) if isinstance(item, Definition) else Dim.of(0)
            picked = _picked(step, depth, ctx)
            return [(f"{here}.{layer}", part.definitions[layer]) for layer in picked]


def _inner(
    selector: ast.Selector, path: str, item: object, ctx: Context
) -> list[tuple[str, object]]:
    found = [(path, item)]
    for step in selector.steps:
        found = [match for at, inner in found for match in _step(step, at, inner, ctx)]
    return found


def _picked(step: ast.Step, depth: Dim, ctx: Context) -> list[int]:
    """Layers that a step picks.

    Reports:
        E0603 for a layer that the stack does not have.
    """
    count = depth.value
    bounds = [None if bound is None else expr.evaluate(bound, ctx) for bound in step.bounds]
    numbers = [b.value if isinstance(b, Dim) and b.is_const else None for b in bounds]
    layers = list(range(count))
    last = count if step.pick == "range" else count - 1
    beyond = [n for n in numbers if n is not None and not -count <= n <= last]
    if step.pick in ("range", "index") and beyond:
        ctx.sink.add(LayerOutOfRange(at=step.span, index=beyond[0], depth=depth))
        return []
    match step.pick:
        case "all":
            return layers
        case "every":
            every, *first = numbers
            return layers[(first[0] or 0) if first else 0 :: every] if every and every > 0 else []
        case "range":
            return layers[numbers[0] : numbers[1]]
        case _:
            place = numbers[0]
            return [layers[place]] if place is not None and -count <= place < count else []
