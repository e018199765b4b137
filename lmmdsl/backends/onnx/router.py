"""Send tokens through two parts by a mask: gather the rows of each, put the results back in order.

A part whose kind of token is absent computes on no rows at all, and costs nothing.
"""

from dataclasses import dataclass

from lmmdsl.backends.onnx.frame import Frame
from lmmdsl.backends.onnx.names import slashed
from lmmdsl.dims.expr import Dim
from lmmdsl.types.tensor import TensorType


@dataclass(frozen=True, slots=True)
class Rows:
    """Some of the tokens: name and type `[n, D]` of the value, where n is known only at run time."""

    name: str
    kind: TensorType


class Router:
    """Tokens `[..., D]` of a scope, and who of them is in the mask `[...]`."""

    def __init__(self, frame: Frame, mask: str, tokens: str, kind: TensorType) -> None:
        self._scope = frame.scope
        self._stem = slashed(frame.path)
        self._kind = frame.outer(kind)
        width = self._scope.vector((Dim.of(-1), self._width(self._kind)))
        self._rows = self._node("Reshape", tokens, width)
        self._mask = self._node("Reshape", mask, self._scope.integers([-1]))
        self._places: list[str] = []

    def picked(self) -> Rows:
        """The tokens of the mask."""
        return self._gathered(self._mask)

    def left(self) -> Rows:
        """All other tokens."""
        return self._gathered(self._node("Not", self._mask))

    def joined(self, results: tuple[str, str], kind: TensorType) -> str:
        """What the parts gave for these and those, in the order of the tokens: a value of this type."""
        rows = self._node("Concat", *results, axis=0)
        order = self._node("Concat", *self._places, axis=0)
        places = self._node("Unsqueeze", order, self._scope.integers([1]))
        flat = self._node("ScatterND", rows, places, rows)
        sizes = tuple(axis for axis in kind.shape if isinstance(axis, Dim))
        return self._node("Reshape", flat, self._scope.vector(sizes))

    def _gathered(self, mask: str) -> Rows:
        found = self._node("NonZero", mask)  # [1, n]
        places = self._node("Squeeze", found, self._scope.integers([0]))
        self._places.append(places)
        name = self._node("Gather", self._rows, places, axis=0)
        count = Dim.symbol(self._scope.fresh("routed"))
        kind = TensorType(self._kind.dtype, (count, self._width(self._kind)))
        self._scope.measure(name, kind)
        return Rows(name, kind)

    def _width(self, kind: TensorType) -> Dim:
        width = kind.shape[-1]
        assert isinstance(width, Dim)
        return width

    def _node(self, kind: str, *inputs: str, **attributes: object) -> str:
        return self._scope.add(kind, inputs, stem=self._stem, attributes=dict(attributes))[0]
