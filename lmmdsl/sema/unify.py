"""Matching the arguments of a call with the declared types of a method.

The axes of a signature are its own run-time symbols; a call binds each to the size that it finds and checks every
other mention. `*b` binds any number of leading axes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lmmdsl.dims.expr import Dim, Symbol, Why
from lmmdsl.dims.solve import solve
from lmmdsl.graph.ir import Definition
from lmmdsl.types.tensor import Axis, Rest, TensorType


@dataclass
class Matched:
    """Sizes bound by a call, and the first thing that did not fit."""

    sizes: dict[str, Dim] = field(default_factory=dict)
    rests: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    wrong: int | None = None
    clash: tuple[Dim, ...] = ()

    def bound(self) -> dict[str, str]:
        """For messages: what each axis is."""
        rests = {f"*{k}": f"[{', '.join(map(str, v))}]" for k, v in self.rests.items()}
        return rests | {name: str(size) for name, size in self.sizes.items()}

    def result(self, declared: TensorType) -> TensorType:
        """A declared result with the bound sizes."""
        shape: list[Axis] = []
        for axis in declared.shape:
            if isinstance(axis, Rest):
                shape.extend(self.rests.get(axis.name, (axis,)))
            else:
                shape.append(self._size(axis))
        return TensorType(declared.dtype, tuple(shape))

    def _size(self, axis: Dim) -> Dim:
        """A declared size with the bound sizes, and the derivation of the number that it gives."""
        if axis.is_const:
            return axis
        name = str(axis)
        if name in self.sizes:
            return self.sizes[name]
        size = axis.subs(self.sizes)
        used = [self.sizes[symbol] for symbol in sorted(axis.symbols()) if symbol in self.sizes]
        if not size.is_const:
            return size
        given = re.sub(
            r"[A-Za-z_]\w*", lambda name: str(self.sizes.get(name[0], name[0])), str(axis)
        )
        whys = tuple(source.why for source in used if source.why)
        return size.because(Why(f"{given} = {size}", None, whys))


def argument_names(layers: Iterable[Definition], method: str) -> list[str]:
    """The different lists of arguments that layers of a stack take."""
    graphs = (layer.methods.get(method) for layer in dict.fromkeys(layers))
    names = (", ".join(map(graph.name_of, graph.inputs)) for graph in graphs if graph)
    return [f"({found})" for found in dict.fromkeys(names)]


def match_arguments(declared: Sequence[TensorType], found: Sequence[TensorType | None]) -> Matched:
    """Match argument types in order; `Matched.wrong` is the index of the first argument that does not fit."""
    matched = Matched()
    pending: list[tuple[int, Dim, Dim]] = []
    for index, (want, have) in enumerate(zip(declared, found, strict=True)):
        if have is None:
            continue
        if want.dtype is not have.dtype or not _match_shape(matched, index, want, have, pending):
            matched.wrong = index if matched.wrong is None else matched.wrong
            return matched
    for index, size, actual in pending:
        if (found_size := solve(size, actual, matched.sizes)) is not None:
            matched.sizes[found_size[0]] = found_size[1]
        expected = size.subs(matched.sizes)
        # A symbol that is still open is the callee's own, whatever the caller has by that name.
        if expected != actual or size.symbols() - matched.sizes.keys():
            matched.wrong, matched.clash = index, (expected, actual)
            return matched
    return matched


def _match_shape(
    matched: Matched,
    index: int,
    want: TensorType,
    have: TensorType,
    pending: list[tuple[int, Dim, Dim]],
) -> bool:
    axes, shape = want.shape, have.shape
    first = axes[0] if axes else None
    if isinstance(first, Rest):
        split = len(shape) - (len(axes) - 1)
        if split < 0 or not _match_rest(matched, first.name, shape[:split]):
            return False
        axes, shape = axes[1:], shape[split:]
    if len(axes) != len(shape):
        return False
    for axis, size in zip(axes, shape, strict=True):
        if isinstance(axis, Rest) or isinstance(size, Rest):
            if axis != size:
                return False
        elif not _match_axis(matched, index, axis, size, pending):
            return False
    return True


def _match_rest(matched: Matched, name: str, axes: tuple[Axis, ...]) -> bool:
    return matched.rests.setdefault(name, axes) == axes


def _match_axis(
    matched: Matched, index: int, axis: Dim, size: Dim, pending: list[tuple[int, Dim, Dim]]
) -> bool:
    if axis.is_const:
        matched.clash = () if axis == size else (axis, size)
        return axis == size
    if len(axis.terms) == 1 and axis.terms[0][1] == 1 and len(axis.terms[0][0]) == 1:
        atom = axis.terms[0][0][0]
        if isinstance(atom, Symbol):
            known = matched.sizes.setdefault(atom.name, size)
            matched.clash = () if known == size else (known, size)
            return known == size
    pending.append((index, axis, size))
    return True
