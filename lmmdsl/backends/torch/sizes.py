"""Run-time sizes as Python expressions: where a method finds the size of a symbolic axis."""

from lmmdsl.dims.expr import Atom, Dim, Quotient, Remainder, Symbol
from lmmdsl.graph.ir import Graph, Value
from lmmdsl.types.tensor import Axis, Rest, TensorType


def find_axis(graph: Graph, symbol: str) -> tuple[Value, int, Dim] | None:
    """A value of which axis `k` has a size that tells the symbol: `(value, k, size)`.

    Arguments come before other values, required before optional ones, plain symbols before sums.
    """
    candidates: list[tuple[tuple[bool, bool, bool], Value, int, Dim]] = []
    for index, node in enumerate(graph.nodes):
        for slot, kind in enumerate(node.types):
            value = Value(index, slot)
            for axis, size in _axes(kind):
                if _slope(size, symbol):
                    badness = (value not in graph.inputs, kind.optional, size != Dim.symbol(symbol))
                    candidates.append((badness, value, axis, size))
    if not candidates:
        return None
    _, value, axis, size = min(candidates, key=lambda candidate: candidate[0])
    return value, axis, size


def _axes(kind: TensorType) -> list[tuple[int, Dim]]:
    """Axes of known place: counted from the front, or from the end after open axes."""
    is_open = bool(kind.shape) and isinstance(kind.shape[0], Rest)
    return [
        (place - len(kind.shape) if is_open else place, size)
        for place, size in enumerate(kind.shape)
        if isinstance(size, Dim)
    ]


def _slope(size: Dim, symbol: str) -> int:
    """The factor a of a size a * symbol + constant, else 0."""
    slope = 0
    for atoms, factor in size.terms:
        if atoms == (Symbol(symbol),):
            slope = factor
        elif atoms:
            return 0
    return slope


def solve(symbol: str, size: Dim, text: str) -> str:
    """The expression for a symbol, where `text` is the expression for a size that tells it."""
    slope = _slope(size, symbol)
    constant = sum(factor for atoms, factor in size.terms if not atoms)
    if constant:
        text = f"({text} - {constant})" if constant > 0 else f"({text} + {-constant})"
    return text if slope == 1 else f"{text} // {slope}"


def size_text(size: Dim, symbols: dict[str, str]) -> str:
    """The expression for a size, given those of its symbols."""
    if size.is_const:
        return str(size.value)
    return " + ".join(_term(atoms, factor, symbols) for atoms, factor in size.terms).replace(
        "+ -", "- "
    )


def _term(atoms: tuple[Atom, ...], factor: int, symbols: dict[str, str]) -> str:
    factors = [_atom(atom, symbols) for atom in atoms]
    if not factors:
        return str(factor)
    if factor == -1:
        return "-" + " * ".join(factors)
    return " * ".join(([] if factor == 1 else [str(factor)]) + factors)


def _atom(atom: Atom, symbols: dict[str, str]) -> str:
    match atom:
        case Symbol(name=name):
            return symbols[name]
        case Quotient(top=top, bottom=bottom):
            return f"(({size_text(top, symbols)}) // ({size_text(bottom, symbols)}))"
        case Remainder(top=top, bottom=bottom):
            return f"(({size_text(top, symbols)}) % ({size_text(bottom, symbols)}))"


def steps(axis: Axis) -> tuple[int, int]:
    """Least size of an axis of images, and the step of larger ones; what is fixed has none."""
    match axis:
        case Dim(terms=(((Symbol(),), step),)):
            return step, step
        case Dim() if axis.is_const:
            return axis.value, 0
        case _:
            return 1, 1
