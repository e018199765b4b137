"""Rearranging axes by an einops pattern."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType

Groups = tuple[tuple[str, ...], ...]
_GROUP = re.compile(r"\(([\w ]*)\)|(\w+)")


@cache
def parse_pattern(pattern: str) -> tuple[Groups, Groups]:
    """Both sides of a pattern, each axis a group of names; raises `Refused`."""
    sides = pattern.split("->")
    if len(sides) != 2 or re.sub(r"[\w\s()]", "", "".join(sides)):
        raise Refused(f'"{pattern}" is no pattern such as "b n (h d) -> b h n d"')
    left, right = (
        tuple(tuple((m[1] or m[2] or "").split()) for m in _GROUP.finditer(side)) for side in sides
    )
    names = [[name for group in side for name in group] for side in (left, right)]
    for side in names:
        if len(set(side)) != len(side):
            raise Refused(f'"{pattern}" names an axis twice on one side')
    missing = set(names[0]) ^ set(names[1])
    if missing:
        raise Refused(f'"{pattern}": axis `{sorted(missing)[0]}` stands on one side only')
    return left, right


@op
@dataclass(frozen=True, kw_only=True)
class Rearrange(Op):
    """Split, permute and merge axes: `rearrange(x, "b n (h d) -> b h n d", h = heads)`.

    Source: einops (Rogozhnikov 2022); torch reshape and permute; ONNX Reshape-14, Transpose-13.
    """

    name: ClassVar[str] = "rearrange"
    signature: ClassVar[str] = "any x[*b] -> y[*b]"
    extra: ClassVar[str] = "sizes"
    pattern: str
    sizes: tuple[tuple[str, Dim], ...] = ()
    samples = (
        case(
            x="2 5 12", attributes={"pattern": "b n (h d) -> b h n d", "sizes": (("h", Dim.of(3)),)}
        ),
        case(x="2 3 5 4", attributes={"pattern": "b h n d -> b n (h d)"}),
        case(x="2 6 3 5", attributes={"pattern": "b d h w -> b (h w) d"}),
        case(
            x="2 12 5",
            attributes={"pattern": "b (n k) d -> b n (k d)", "sizes": (("k", Dim.of(4)),)},
        ),
    )
    refuses = (
        case(
            x="2 5 13",
            attributes={"pattern": "b n (h d) -> b h n d", "sizes": (("h", Dim.of(3)),)},
            problem="does not split into",
        ),
        case(x="2 5", attributes={"pattern": "b n d -> b d n"}, problem="3 axes"),
        case(x="2 5 3", attributes={"pattern": "b n d -> b n"}, problem="one side only"),
    )

    def axes(self, kind: TensorType) -> dict[str, Dim]:
        """Size of every named axis; raises `Refused`."""
        left, _ = parse_pattern(self.pattern)
        if kind.rank != len(left):
            raise Refused(f'"{self.pattern}" takes {len(left)} axes, but `x` has shape {kind}')
        given = dict(self.sizes)
        known: dict[str, Dim] = {}
        for group, size in zip(left, kind.shape, strict=True):
            assert isinstance(size, Dim)
            self._split(group, size, given, known)
        unknown = set(given) - set(known)
        if unknown:
            raise Refused(f'"{self.pattern}" has no axis `{sorted(unknown)[0]}`')
        return known

    def _split(
        self, group: tuple[str, ...], size: Dim, given: dict[str, Dim], known: dict[str, Dim]
    ) -> None:
        rest = size
        open_names = [name for name in group if name not in given]
        text = f"({' '.join(group)})"
        if len(open_names) > 1:
            raise Refused(f'give all but one size of `{text}` in "{self.pattern}"')
        for name in group:
            if name in given:
                quotient = rest.divide(given[name]) if given[name] != Dim.of(0) else None
                if quotient is None:
                    parts = ", ".join(f"{n} = {given[n]}" for n in group if n in given)
                    raise Refused(
                        f"an axis of {size} does not split into `{text}` with {parts}",
                        sizes=(size, given[name]),
                    )
                rest = quotient
                known[name] = given[name]
        if open_names:
            known[open_names[0]] = rest
        elif rest != Dim.of(1):
            raise Refused(f"an axis of {size} is not `{text}`", sizes=(size,))

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (x,) = inputs
        assert x is not None
        known = self.axes(x)
        _, right = parse_pattern(self.pattern)
        return (TensorType(x.dtype, tuple(_product(known, group) for group in right)),)

    def plan(self, kind: TensorType) -> tuple[list[Dim] | None, list[int] | None, list[Dim] | None]:
        """Shape to split into, order of the axes, shape to merge into; None for a step that changes nothing."""
        known = self.axes(kind)
        left, right = parse_pattern(self.pattern)
        before = [name for group in left for name in group]
        after = [name for group in right for name in group]
        order = [before.index(name) for name in after]
        split = [known[name] for name in before] if any(len(g) != 1 for g in left) else None
        merge = (
            [_product(known, group) for group in right] if any(len(g) != 1 for g in right) else None
        )
        return split, order if order != sorted(order) else None, merge

    def torch(self, e: TorchEmitter, *args: str) -> str:
        assert e.inputs[0] is not None
        text = args[0]
        left, right = parse_pattern(self.pattern)
        split, order, merge = self.plan(e.inputs[0])
        if split is not None:
            text = self._unflatten(e, text, left)
        if order is not None:
            swapped = [place for place, axis in enumerate(order) if place != axis]
            pair = len(swapped) == 2 and order[swapped[0]] == swapped[1]
            text += (
                f".transpose({swapped[0]}, {swapped[1]})"
                if pair
                else f".permute({', '.join(map(str, order))})"
            )
        if merge is not None:
            text = self._flatten(e, text, right, merge)
        return text

    def _unflatten(self, e: TorchEmitter, text: str, left: Groups) -> str:
        assert e.inputs[0] is not None
        known = self.axes(e.inputs[0])
        given = {name for name, _ in self.sizes}
        for place in reversed(range(len(left))):
            group = left[place]
            if len(group) != 1:
                sizes = [
                    "-1" if n not in given and not known[n].is_const else e.dim(known[n])
                    for n in group
                ]
                text += f".unflatten({place}, ({', '.join(sizes)}))"
        return text

    def _flatten(self, e: TorchEmitter, text: str, right: Groups, merge: list[Dim]) -> str:
        if any(not group for group in right):
            return f"{text}.reshape({', '.join(e.dim(size) for size in merge)})"
        start = 0
        for group in right:
            if len(group) > 1:
                text += f".flatten({start}, {start + len(group) - 1})"
            start += 1
        return text

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        assert g.inputs[0] is not None
        split, order, merge = self.plan(g.inputs[0])
        value: Any = args[0]
        if split is not None:
            value = g.op("Reshape", value, g.shape(split))
        if order is not None:
            value = g.op("Transpose", value, perm=order)
        if merge is not None:
            value = g.op("Reshape", value, g.shape(merge))
        return value


def _product(known: dict[str, Dim], group: tuple[str, ...]) -> Dim:
    if len(group) == 1:
        return known[group[0]]
    total = Dim.of(1)
    for name in group:
        total = total * known[name]
    return total
