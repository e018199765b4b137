"""Axis patterns: the whole shape rule of most operations, in one line.

`x[*b i], weight[o i], bias[o]? -> y[*b o]`: axes are bound by the first input that names them and checked in every
other; `*b` stands for any number of leading axes; a number must match itself; a name that is also an attribute of
the operation takes its value; `?` marks an optional input. A word before a name tells the element kind: `int`, `bool`,
`number` (not bool) or `any`, else float; an output that is `number` or `any` is of the first input's kind.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lmmdsl.dims.expr import Dim
from lmmdsl.types.tensor import Axis, DType, Rest, TensorType

Types = tuple[TensorType | None, ...]

_TERM = re.compile(
    r"(?:(?P<kind>int|bool|number|any)\s+)?(?P<name>\w+)\[(?P<axes>[^\]]*)\](?P<optional>\?)?"
)


class Refused(Exception):
    """An operation does not accept its arguments. Elaboration turns it into a diagnostic at the call.

    Attributes:
        problem: what is wrong, with the values at hand (`axis `i` is 1024 in `x` and 1408 in `weight``).
        sizes: the sizes that clash, for the labels that tell where each was fixed.
        bound: axes bound so far, for the note.
    """

    def __init__(
        self, problem: str, *, sizes: Sequence[Dim] = (), bound: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.sizes = tuple(sizes)
        self.bound = dict(bound or {})


@dataclass(frozen=True)
class Term:
    """One input or output of a signature; `kinds` are the element kinds that it may have."""

    name: str
    kinds: tuple[DType, ...]
    axes: tuple[str, ...]
    optional: bool


@dataclass(frozen=True)
class Signature:
    """A parsed signature."""

    inputs: tuple[Term, ...]
    outputs: tuple[Term, ...]


_KINDS = {None: (DType.FLOAT,), "number": (DType.FLOAT, DType.INT), "any": tuple(DType)}


@cache
def parse_signature(text: str) -> Signature:
    """Parse an axis pattern."""
    left, right = text.split("->")
    return Signature(_terms(left), _terms(right))


def _terms(text: str) -> tuple[Term, ...]:
    return tuple(
        Term(
            match["name"],
            _KINDS[match["kind"]] if match["kind"] in _KINDS else (DType(match["kind"]),),
            tuple(match["axes"].split()),
            bool(match["optional"]),
        )
        for match in _TERM.finditer(text)
    )


@dataclass
class Binding:
    """Axes bound so far, by pattern name."""

    attributes: dict[str, Any]
    axes: dict[str, Dim] = field(default_factory=dict)
    rests: dict[str, tuple[Axis, ...]] = field(default_factory=dict)

    def bound(self) -> dict[str, str]:
        """For messages: what each axis is."""
        rests = {f"*{name}": f"[{', '.join(map(str, axes))}]" for name, axes in self.rests.items()}
        return rests | {name: str(size) for name, size in self.axes.items()}

    def bind(self, axis: str, size: Dim, where: str) -> None:
        """Bind one axis or check it against its binding."""
        known = self.known(axis)
        if known is None:
            self.axes[axis] = size
        elif known != size:
            label = f"axis `{axis}`" if not axis.isdigit() else "the axis"
            raise Refused(
                f"{label} of `{where}` is {size}, not {known}",
                sizes=(known, size),
                bound=self.bound(),
            )

    def known(self, axis: str) -> Dim | None:
        """The size of an axis if it is a number, an attribute, or already bound."""
        if axis.isdigit():
            return Dim.of(int(axis))
        if axis in self.axes:
            return self.axes[axis]
        value = self.attributes.get(axis)
        return (
            value if isinstance(value, Dim) else Dim.of(value) if isinstance(value, int) else None
        )

    def rest(self, name: str, axes: tuple[Axis, ...], where: str) -> None:
        """Bind the leading axes or check them."""
        known = self.rests.setdefault(name, axes)
        if known != axes:
            left, right = (f"[{', '.join(map(str, a))}]" for a in (axes, known))
            raise Refused(f"leading axes of `{where}` are {left}, not {right}", bound=self.bound())


def match_term(binding: Binding, term: Term, found: TensorType) -> None:
    """Match one input against its pattern."""
    if found.dtype not in term.kinds:
        wanted = " or ".join(kind.value for kind in term.kinds)
        raise Refused(f"`{term.name}` must be {wanted}, but {found} is {found.dtype.value}")
    axes, shape = term.axes, found.shape
    starred = bool(axes) and axes[0].startswith("*")
    fixed = axes[1:] if starred else axes
    open_front = bool(shape) and isinstance(shape[0], Rest)
    if len(shape) - open_front < len(fixed) or (
        not starred and (open_front or len(shape) != len(fixed))
    ):
        want = f"[{' '.join(axes)}]"
        raise Refused(
            f"`{term.name}` must have axes {want}, but has shape {found}", bound=binding.bound()
        )
    split = len(shape) - len(fixed)
    if starred:
        binding.rest(axes[0][1:], shape[:split], term.name)
    for axis, size in zip(fixed, shape[split:], strict=True):
        if isinstance(size, Dim):
            binding.bind(axis, size, term.name)


def infer_signature(
    name: str, text: str, attributes: dict[str, Any], inputs: Types
) -> tuple[TensorType, ...]:
    """Infer the output types of operation `name` from its signature; raises `Refused`."""
    signature = parse_signature(text)
    binding = Binding(attributes)
    for term, found in zip(signature.inputs, inputs, strict=True):
        if found is None:
            if not term.optional:
                raise Refused(f"`{name}` needs `{term.name}`")
            continue
        match_term(binding, term, found)
    first = next((kind.dtype for kind in inputs if kind), DType.FLOAT)
    return tuple(_result(binding, term, first) for term in signature.outputs)


def _result(binding: Binding, term: Term, first: DType) -> TensorType:
    shape: list[Axis] = []
    for axis in term.axes:
        if axis.startswith("*"):
            shape.extend(binding.rests[axis[1:]])
            continue
        size = binding.known(axis)
        if size is None:
            raise KeyError(f"axis {axis} of output {term.name} is never bound")
        shape.append(size)
    return TensorType(term.kinds[0] if len(term.kinds) == 1 else first, tuple(shape))
