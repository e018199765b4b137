"""Variants: what their overrides name, whether a variant is chosen or not.

The values of a variant that is not chosen are not worked out; a name that nothing has is a mistake all the same.
"""

from lmmdsl.diag.codes.names import DuplicateName
from lmmdsl.diag.codes.project import BadOverride
from lmmdsl.graph.ir import Definition, Instance, Stack
from lmmdsl.sema.context import Context
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span

VOCAB = "vocab"


def check_variants(block: ast.Block, chosen: str | None, root: Definition, ctx: Context) -> None:
    """Check the overrides of all variants of a model.

    Reports:
        E0202 for what a variant sets twice; E0905 for what nothing in the model is called, in variants that are
        not chosen (elaboration reports it for the one that is).
    """
    known = (*_values(block), *_arguments(root))
    told = set(root.declared - set(root.parts))  # parts that are broken, and what was reported here
    for variant in block.items:
        if isinstance(variant, ast.Variant):
            _check_twice(variant, ctx)
            if variant.name != chosen:
                _check_names(variant, known, told, ctx)


def _check_twice(variant: ast.Variant, ctx: Context) -> None:
    first: dict[str, Span] = {}
    for item in variant.overrides:
        path = ".".join(item.path)
        if path in first:
            ctx.sink.add(DuplicateName(at=item.span, name=path, first=first[path]))
        first.setdefault(path, item.span)


def _check_names(
    variant: ast.Variant, known: tuple[str, ...], told: set[str], ctx: Context
) -> None:
    heads = {path.split(".")[0] for path in known}
    for item in variant.overrides:
        path, head = ".".join(item.path), item.path[0]
        if path in known or head in told:
            continue
        problem = "names nothing in this model"
        ctx.sink.add(BadOverride(at=item.span, path=path, problem=problem, candidates=known))
        if head not in heads:
            told.add(head)  # a part that is gone is told of once, not for each of its numbers


def _values(block: ast.Block) -> list[str]:
    """Values and vocabulary entries that a model writes."""
    found = [item.name for item in block.items if isinstance(item, ast.Let)]
    for item in block.items:
        if isinstance(item, ast.Vocabulary):
            found += [f"{VOCAB}.{rule.name.strip('<>|/')}" for rule in item.rules]
    return found


def _arguments(root: Definition) -> list[str]:
    """Arguments of a model's parts."""
    found: list[str] = []
    for part in root.parts.values():
        match part:
            case Instance(definition=definition) | Stack(definitions=(definition, *_)):
                found += [f"{part.name}.{name}" for name in definition.binding]
    return found
