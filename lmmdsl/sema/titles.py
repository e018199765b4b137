"""Roles of a model's parts, and their titles: the published names that spec and variant give them."""

from collections.abc import Mapping

from lmmdsl.diag.codes.names import DuplicateName
from lmmdsl.diag.codes.project import BadOverride
from lmmdsl.graph.program import Role
from lmmdsl.sema.context import Context
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span


def titled_roles(
    block: ast.Block, variant: str | None, roles: Mapping[str, str]
) -> tuple[Role, ...]:
    """Roles in source order; a title of the chosen variant takes the place of the part's own."""
    titles = {item.name: item.title for item in _components(block)}
    for item in block.items:
        if isinstance(item, ast.Variant) and item.name == variant:
            titles |= {title.name: title.text for title in item.titles}
    return tuple(Role(kind, part, titles.get(part, "")) for part, kind in roles.items())


def check_titles(block: ast.Block, ctx: Context) -> None:
    """Check the titles of all variants of a model.

    Reports:
        E0202 for a part that a variant names twice; E0905 for what is no part with a role.
    """
    known = tuple(item.name for item in _components(block))
    for variant in block.items:
        if not isinstance(variant, ast.Variant):
            continue
        first: dict[str, Span] = {}
        for title in variant.titles:
            if title.name in first:
                again = DuplicateName(at=title.span, name=title.name, first=first[title.name])
                ctx.sink.add(again)
            elif title.name not in known:
                problem = "only a part with a role has a title"
                ctx.sink.add(
                    BadOverride(at=title.span, path=title.name, problem=problem, candidates=known)
                )
            first.setdefault(title.name, title.span)


def _components(block: ast.Block) -> list[ast.PartDecl]:
    return [item for item in block.items if isinstance(item, ast.PartDecl) and item.role]
