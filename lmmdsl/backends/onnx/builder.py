"""What an operation sees while it writes its ONNX nodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmmdsl.backends.onnx.frame import Frame, Options
from lmmdsl.backends.onnx.names import slashed
from lmmdsl.backends.onnx.protos import NUMPY, element_type
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Graph, Node
from lmmdsl.graph.names import place
from lmmdsl.passes.count import is_cached
from lmmdsl.types.tensor import DType, TensorType


class OpBuilder:
    """Writes the nodes of one operation (`lmmdsl.ops.base.OnnxBuilder`).

    Types of `inputs` and `outputs` are in the method's own symbols; `dim` and `shape` translate.
    """

    def __init__(
        self, frame: Frame, graph: Graph, node: Node, names: Sequence[str | None], options: Options
    ) -> None:
        self.inputs: tuple[TensorType | None, ...] = tuple(
            None if value is None or name is None else frame.own(graph.type_of(value))
            for value, name in zip(node.inputs, names, strict=True)
        )
        self.outputs = tuple(frame.own(kind) for kind in node.types)
        self.profile = options.profile
        self._frame = frame
        self._floats = options.floats
        self._stem = slashed(frame.path)
        self._cached = options.cached and is_cached(node)
        self._notes = {"namespace": self._stem} if self._stem else {}
        self._notes["lmm"] = place(node.span)

    def op(
        self, kind: str, *inputs: str | None, outputs: int = 1, domain: str = "", **attributes: Any
    ) -> Any:
        """Add a node; gives its output name, or a tuple of names when `outputs` > 1."""
        made = self._frame.scope.add(
            kind,
            inputs,
            stem=self._stem,
            outputs=outputs,
            domain=domain,
            attributes={key: self._attribute(value) for key, value in attributes.items()},
            notes=self._notes,
        )
        return made if outputs > 1 else made[0]

    def _attribute(self, value: Any) -> Any:
        return element_type(value, self._floats) if isinstance(value, DType) else value

    def const(self, value: Any, dtype: DType) -> str:
        """A small constant tensor."""
        element = element_type(dtype, self._floats)
        return self._frame.scope.constant(np.asarray(value, NUMPY[element]), element)

    def dim(self, size: Dim) -> str:
        """A one-element int64 vector that holds a size."""
        return self._frame.scope.size(Dim.of(size).subs(self._frame.sizes))

    def shape(self, sizes: Sequence[Dim | int]) -> str:
        """An int64 vector of sizes."""
        return self._frame.scope.vector(tuple(Dim.of(s).subs(self._frame.sizes) for s in sizes))

    def past(self) -> tuple[str, str] | None:
        """Cached keys and values of this operation, or None in a graph without a cache."""
        return self._frame.scope.past.popleft() if self._cached else None

    def present(self, key: str, value: str) -> None:
        """Hand over the updated keys and values."""
        if self._cached:
            self._frame.scope.present.append((key, value))
