"""Names for sizes in which definitions of one block differ.

A column holds one size of every definition. It is told by a parameter of the block, by a number that the block works
out, by one of its parts, or by a simple expression of these.
"""

from collections.abc import Iterator
from itertools import combinations

from lmmdsl.backends.torch.names import attribute, safe
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Instance

Column = tuple[int, ...]  # one size of all members
NEAR = 4  # how far a size may lie from a named one to be written as `width + 1`


class Names:
    """What the sizes of a block's definitions may be called: by name, the numbers of all of them."""

    def __init__(self, members: list[Definition]) -> None:
        first = members[0]
        taken = {*first.parts, *first.methods, *_symbols(first)}
        named = [_numbers_of(item) for item in members]
        columns = {
            name: tuple(numbers[name] for numbers in named)
            for name in named[0]
            if all(name in numbers for numbers in named) and name not in taken
        }
        self.columns = {
            safe(attribute(name)): column
            for name, column in columns.items()
            if len(set(column)) > 1
        }
        self.places = {item: place for place, item in enumerate(members)}

    def sizes(self, item: Definition, used: set[str]) -> dict[str, Dim]:
        """The sizes of a member that the class is told, by argument."""
        place = self.places[item]
        return {name: Dim.of(c[place]) for name, c in self.columns.items() if name in used}

    def expression(self, column: Column) -> Dim | None:
        """A size that the members have, in their own terms: `width`, `4*width`, `heads*head_dim`, `height + 1`."""
        return next(self._expressions(column), None)

    def _expressions(self, column: Column) -> Iterator[Dim]:
        known = {name: Dim.symbol(name) for name in self.columns}
        for name, own in self.columns.items():
            if own == column:
                yield known[name]
        for name, own in self.columns.items():
            if (factor := _factor(column, own)) is not None:
                yield known[name] * factor
            if (divisor := _factor(own, column)) is not None:
                yield known[name] // divisor
        for one, other in combinations(self.columns, 2):
            pairs = zip(self.columns[one], self.columns[other], strict=True)
            if tuple(a * b for a, b in pairs) == column:
                yield known[one] * known[other]
        for name, own in self.columns.items():
            steps = {size - named for size, named in zip(column, own, strict=True)}
            if len(steps) == 1 and abs(min(steps)) <= NEAR:
                yield known[name] + steps.pop()


def _factor(whole: Column, part: Column) -> int | None:
    """What one column is times the other, if that is one whole number."""
    if 0 in part or any(size % unit for size, unit in zip(whole, part, strict=True)):
        return None
    factors = {size // unit for size, unit in zip(whole, part, strict=True)}
    return factors.pop() if len(factors) == 1 else None


def _numbers_of(item: Definition) -> dict[str, int]:
    """The numbers that a definition knows by name: parameters first, those of its parts last."""
    found: dict[str, int] = {}
    parts = (part.definition for part in item.parts.values() if isinstance(part, Instance))
    of_parts = (pair for part in parts for pair in part.binding.items())
    for name, value in (*item.binding.items(), *item.values.items(), *of_parts):
        number = value.value if isinstance(value, Dim) and value.is_const else value
        if isinstance(number, int) and not isinstance(number, bool):
            found.setdefault(name, number)
    return found


def _symbols(item: Definition) -> set[str]:
    kinds = (kind for graph in item.methods.values() for node in graph.nodes for kind in node.types)
    return {
        name
        for kind in kinds
        for axis in kind.shape
        if isinstance(axis, Dim)
        for name in axis.symbols()
    }
