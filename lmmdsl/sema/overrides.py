"""Overrides: settings of variants and of the command line, applied where the model names its parts and values."""

from dataclasses import dataclass, field, replace

from lmmdsl.diag.codes.project import BadOverride
from lmmdsl.sema import expr
from lmmdsl.sema.context import Context
from lmmdsl.sema.values import BlockRef
from lmmdsl.syntax import ast


@dataclass
class Overrides:
    """Settings from a variant and from outside, by part and parameter; each is taken once."""

    items: dict[tuple[str, ...], ast.Override] = field(default_factory=dict)
    used: set[tuple[str, ...]] = field(default_factory=set)

    def take(self, path: tuple[str, ...]) -> ast.Override | None:
        """The override of a path, if any."""
        if path in self.items:
            self.used.add(path)
        return self.items.get(path)

    def under(self, name: str) -> dict[str, ast.Override]:
        """Overrides `name.parameter`, by parameter."""
        return {
            path[1]: item for path, item in self.items.items() if len(path) == 2 and path[0] == name
        }

    def applied(self, item: ast.PartDecl, ctx: Context) -> ast.PartDecl:
        """The part with its overrides in the calls of blocks that make it, be they repeated or chosen."""
        changes = self.under(item.name)
        return (
            replace(item, value=self._changed(item, item.value, changes, ctx)) if changes else item
        )

    def _changed(
        self, item: ast.PartDecl, value: ast.Expr, changes: dict[str, ast.Override], ctx: Context
    ) -> ast.Expr:
        """An expression with the changes in its calls; where it has none, they stay unused, and are reported."""
        match value:
            case ast.CallExpr():
                self.used |= {(item.name, name) for name in changes}
                return _called_with(value, dict(changes), ctx)
            case ast.Binary(operator="*"):
                left, right = (
                    self._changed(item, side, changes, ctx) for side in (value.left, value.right)
                )
                return replace(value, left=left, right=right)
            case ast.Choice():
                yes, no = (
                    self._changed(item, side, changes, ctx) for side in (value.yes, value.no)
                )
                return replace(value, yes=yes, no=no)
        return value

    def check(self, ctx: Context) -> None:
        """Report overrides that named nothing (E0905)."""
        for path, item in self.items.items():
            if path not in self.used:
                known = tuple(".".join((name, *path[1:])) for name in ctx.scope.names)
                ctx.sink.add(
                    BadOverride(
                        at=item.span,
                        path=".".join(path),
                        problem="names nothing in this model",
                        candidates=known,
                    )
                )


def _called_with(
    call: ast.CallExpr, changes: dict[str, ast.Override], ctx: Context
) -> ast.CallExpr:
    function = expr.evaluate(call.function, ctx)
    names = [p.name for p in function.block.parameters] if isinstance(function, BlockRef) else []
    arguments = []
    for place, argument in enumerate(call.arguments):
        name = argument.name or (names[place] if place < len(names) else None)
        change = changes.pop(name, None) if name else None
        arguments.append(
            replace(argument, value=change.value, span=change.span) if change else argument
        )
    for name, change in changes.items():
        arguments.append(ast.Argument(span=change.span, name=name, value=change.value))
    return replace(call, arguments=tuple(arguments))
