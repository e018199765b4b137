"""Solving a size for the one run-time symbol in it that is not known yet."""

from collections.abc import Mapping

from lmmdsl.dims.expr import Dim, Symbol


def solve(axis: Dim, value: Dim, known: Mapping[str, Dim]) -> tuple[str, Dim] | None:
    """Find the symbol of `axis` that is not in `known`, and the size of it that makes `axis` equal `value`.

    `queries + T` with `queries + T = 37` and `queries = 32` gives `T = 5`.

    Returns:
        Name and size; None where several symbols are open, or the open one is not just multiplied by a number.
    """
    unknown = axis.symbols() - known.keys()
    if len(unknown) != 1:
        return None
    (name,) = unknown
    factor = dict(axis.terms).get((Symbol(name),), 0)
    rest = axis - factor * Dim.symbol(name)
    if not factor or name in rest.symbols():
        return None
    size = (value - rest.subs(known)).divide(factor)
    return None if size is None else (name, size)
