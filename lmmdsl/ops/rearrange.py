"""Rearranging axes by an einops pattern."""

import re
from collections.abc import Iterable
from functools import cache, reduce
from typing import Any, ClassVar

from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.ops.axes import check_sizes, given, known
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType

Groups = tuple[tuple[str, ...], ...]
_GROUP = re.compile(r"\(([\w ]*)\)|(\w+)")


@cache
def parse_pattern(pattern: str) -> tuple[Groups, Groups]:
    """Both sides of a pattern, each axis a group of names (`1` and `()` are empty); raises `Refused`."""
    sides = pattern.split("->")
    if len(sides) != 2 or any(_GROUP.sub("", side).strip() for side in sides):
        raise Refused(f'"{pattern}" is no pattern such as "b n (h d) -> b h n d"')
    left, right = (
        tuple(_group(*match.groups("")) for match in _GROUP.finditer(side)) for side in sides
    )
    names = [[name for group in side for name in group] for side in (left, right)]
    odd = next((name for name in names[0] + names[1] if not name.isidentifier()), None)
    if odd is not None:
        raise Refused(f'"{pattern}": `{odd}` is no name of an axis; only 1 may stand for a size')
    for side in names:
        if len(set(side)) != len(side):
            raise Refused(f'"{pattern}" names an axis twice on one side')
    missing = sorted(set(names[0]) ^ set(names[1]))
    if missing:
        raise Refused(f'"{pattern}": axis `{missing[0]}` stands on one side only')
    return left, right


def _group(inside: str, alone: str) -> tuple[str, ...]:
    return tuple(name for name in (inside or alone).split() if name != "1")


@op
class Rearrange(Op):
    """Split, permute and merge axes: `rearrange(x, "b n (h d) -> b h n d", h = heads)`.

    Source: einops (Rogozhnikov 2022); torch reshape and permute; ONNX Reshape-14, Transpose-13.
    """

    name: ClassVar[str] = "rearrange"
    signature: ClassVar[str] = "any x[*b] -> any y[*b]"
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
            attributes={"pattern": "b (n k) d -> (b n) k d", "sizes": (("k", Dim.of(4)),)},
        ),
        case(
            x="2 3 4 6",
            attributes={"pattern": "b c h (w p) -> b (h w) (p c)", "sizes": (("p", Dim.of(2)),)},
        ),
        case(x="2 5", attributes={"pattern": "b d -> b 1 d 1"}),
        case(x="2 1 5", attributes={"pattern": "b 1 d -> d b"}),
        case(x="int 2 5", attributes={"pattern": "b d -> (b d)"}),
    )
    refuses = (
        case(
            x="2 5 13",
            attributes={"pattern": "b n (h d) -> b h n d", "sizes": (("h", Dim.of(3)),)},
            problem="an axis of 13 does not split into `(h d)` with h = 3",
        ),
        case(x="2 5", attributes={"pattern": "b n d -> b d n"}, problem="takes 3 axes"),
        case(x="2 5 3", attributes={"pattern": "b n d -> b n"}, problem="axis `d` stands on one side only"),
        case(x="2 5 3", attributes={"pattern": "b n d -> b n n d"}, problem="names an axis twice"),
        case(x="2 5 3", attributes={"pattern": "b n (d -> b n d"}, problem="is no pattern"),
        case(x="2 5", attributes={"pattern": "b n -> b 2 n"}, problem="`2` is no name"),
        case(x="2 5", attributes={"pattern": "b 1 -> b"}, problem="an axis of 5 is not 1"),
        case(x="2 6", attributes={"pattern": "b (h d) -> b h d"}, problem="all but one size of `(h d)`"),
        case(
            x="2 6", attributes={"pattern": "b d -> d b", "sizes": (("h", Dim.of(3)),)},
            problem="has no axis `h`",
        ),
        case(
            x="2 6", attributes={"pattern": "b (h d) -> b h d", "sizes": (("h", Dim.of(3)), ("d", Dim.of(3)))},
            problem="does not split into `(h d)` with h = 3, d = 3",
        ),
    )  # fmt: skip

    def axes(self, kind: TensorType) -> dict[str, Dim]:
        """Size of every named axis; raises `Refused`."""
        left, _ = parse_pattern(self.pattern)
        if kind.rank != len(left):
            raise Refused(f'"{self.pattern}" takes {len(left)} axes, but `x` has shape {kind}')
        sizes: dict[str, Dim] = {}
        for group, size in zip(left, known(*kind.shape), strict=True):
            sizes |= self._split(group, size)
        unknown = next((name for name, _ in self.sizes if name not in sizes), None)
        if unknown is not None:
            raise Refused(f'"{self.pattern}" has no axis `{unknown}`')
        return sizes

    def _split(self, group: tuple[str, ...], size: Dim) -> dict[str, Dim]:
        """Sizes of the axes of one group; raises `Refused`."""
        told = {name: count for name, count in self.sizes if name in group}
        for name, count in told.items():
            check_sizes(name, count, least=1)
        text = f"({' '.join(group)})"
        open_names = [name for name in group if name not in told]
        if len(open_names) > 1:
            raise Refused(f'give all but one size of `{text}` in "{self.pattern}"')
        rest = size.divide(_product(told.values()))
        if rest is None or not (open_names or rest == ONE):
            parts = ", ".join(f"{name} = {given}" for name, given in told.items())
            problem = f"does not split into `{text}` with {parts}" if told else "is not 1"
            raise Refused(f"an axis of {size} {problem}", sizes=(size, *told.values()))
        return told | dict.fromkeys(open_names, rest)

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        (kind,) = given(inputs)
        sizes = self.axes(kind)
        _, right = parse_pattern(self.pattern)
        return (TensorType(kind.dtype, tuple(_merged(sizes, right))),)

    def order(self) -> list[int] | None:
        """Where each single axis of the result comes from, or None where they keep their order."""
        before, after = (
            [name for group in side for name in group] for side in parse_pattern(self.pattern)
        )
        order = [before.index(name) for name in after]
        return None if order == sorted(order) else order

    def torch(self, e: TorchEmitter, *args: str) -> str:
        left, right = parse_pattern(self.pattern)
        return args[0] + self._take_apart(e, left) + self._turn() + _put_together(right)

    def _take_apart(self, e: TorchEmitter, left: Groups) -> str:
        sizes = self.axes(given(e.inputs)[0])
        told = {name for name, _ in self.sizes}
        text = ""
        for place, group in reversed(list(enumerate(left))):
            if not group:
                text += f".squeeze({place})"
            elif len(group) > 1:
                parts = [
                    "-1" if n not in told and not sizes[n].is_const else e.dim(sizes[n])
                    for n in group
                ]
                text += f".unflatten({place}, ({', '.join(parts)}))"
        return text

    def _turn(self) -> str:
        order = self.order()
        if order is None:
            return ""
        moved = [place for place, axis in enumerate(order) if place != axis]
        if len(moved) == 2:
            return f".transpose({moved[0]}, {moved[1]})"
        return f".permute({', '.join(map(str, order))})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        left, right = parse_pattern(self.pattern)
        sizes = self.axes(given(g.inputs)[0])
        value: Any = args[0]
        if any(len(group) != 1 for group in left):
            value = g.op(
                "Reshape", value, g.shape([sizes[name] for group in left for name in group])
            )
        order = self.order()
        if order is not None:
            value = g.op("Transpose", value, perm=order)
        if any(len(group) != 1 for group in right):
            value = g.op("Reshape", value, g.shape(_merged(sizes, right)))
        return value if value != args[0] else g.op("Identity", value)


def _put_together(right: Groups) -> str:
    """Flatten the groups of the result, then add its axes of size 1."""
    text = ""
    for place, group in enumerate(group for group in right if group):
        if len(group) > 1:
            text += f".flatten({place}, {place + len(group) - 1})"
    units = [place for place, group in enumerate(right) if not group]
    return text + "".join(f".unsqueeze({place})" for place in units)


def _merged(sizes: dict[str, Dim], groups: Groups) -> list[Dim]:
    return [_product(sizes[name] for name in group) for group in groups]


def _product(sizes: Iterable[Dim]) -> Dim:
    return reduce(lambda total, size: total * size, sizes, ONE)
