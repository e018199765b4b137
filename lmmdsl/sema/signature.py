"""Shapes and types as signatures and parameters declare them."""

from lmmdsl.diag.codes.names import UnknownName
from lmmdsl.diag.codes.shapes import BadSize
from lmmdsl.diag.codes.types import WrongKind
from lmmdsl.dims.expr import Dim
from lmmdsl.sema.context import Context
from lmmdsl.sema.expr import evaluate
from lmmdsl.sema.values import Poison, show
from lmmdsl.syntax import ast
from lmmdsl.types.tensor import DType, Rest, TensorType


def axes(
    items: tuple[ast.Expr | ast.RestAxis, ...], ctx: Context, fresh: set[str] | None
) -> tuple[Dim | Rest, ...] | None:
    """Axes of a shape; capitalised names that are not in scope become run-time symbols when `fresh` is given."""
    shape: list[Dim | Rest] = []
    for item in items:
        if isinstance(item, ast.RestAxis):
            shape.append(Rest(item.name))
            continue
        _open_symbols(item, ctx, fresh)
        value = evaluate(item, ctx)
        if not isinstance(value, Dim):
            if not isinstance(value, Poison):
                ctx.sink.add(
                    WrongKind(
                        at=item.span, what="an axis", wanted="a whole number", found=show(value)
                    )
                )
            return None
        if value.is_const and value.value < 0:
            ctx.sink.add(BadSize(at=item.span, what="the axis", size=value))
            return None
        shape.append(value)
    return tuple(shape)


def _open_symbols(item: ast.Expr, ctx: Context, fresh: set[str] | None) -> None:
    if isinstance(item, ast.Binary):
        _open_symbols(item.left, ctx, fresh)
        _open_symbols(item.right, ctx, fresh)
    if fresh is None or not isinstance(item, ast.Name) or ctx.scope.has(item.name):
        return
    if item.name[0].isupper():
        fresh.add(item.name)
        ctx.scope.names[item.name] = Dim.symbol(item.name)
    else:
        hint = f"a size known only at run time has a capital: `{item.name.capitalize()}`"
        known = ctx.scope.known()
        ctx.sink.add(UnknownName(at=item.span, name=item.name, candidates=known, hint=hint))


def tensor_type(
    expression: ast.TypeExpr, ctx: Context, fresh: set[str] | None = None
) -> TensorType | None:
    """The type that a signature declares.

    Reports:
        E0303 for an unknown element kind, E0201 for an unknown axis.
    """
    kinds = {None: DType.FLOAT, "float": DType.FLOAT, "int": DType.INT, "bool": DType.BOOL}
    if expression.kind not in kinds:
        ctx.sink.add(
            WrongKind(
                at=expression.span,
                what="an element kind",
                wanted="float, int or bool",
                found=f"`{expression.kind}`",
            )
        )
        return None
    shape = axes(expression.axes, ctx, fresh)
    return None if shape is None else TensorType(kinds[expression.kind], shape, expression.optional)
