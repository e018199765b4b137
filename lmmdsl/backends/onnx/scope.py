"""One graph body under construction: nodes, names, constants and run-time sizes.

A `Scope` becomes a main graph or the body of a local function. Sizes are kept symbolic as long as
possible: most reshapes need no `Shape` node at all, because an axis that stays in place is written 0
and one more can be -1.

Glossary: a stem is a hierarchical name without its number (`llm/layers.3/attn/q`); a size vector is
a one-axis int64 tensor.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto

from lmmdsl.backends.onnx.protos import make_node, make_tensor
from lmmdsl.dims.expr import Atom, Dim, Quotient, Remainder, Symbol
from lmmdsl.types.tensor import TensorType

Shape = tuple[Dim, ...]


class OnnxError(Exception):
    """The model cannot be written as ONNX; the message says which value and why."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Where a run-time symbol can be read: `axis` of `value` is `factor` * symbol + `offset`."""

    value: str
    axis: int
    factor: int = 1
    offset: int = 0


class Scope:
    """A graph body that grows node by node.

    Attributes:
        is_main: whether the body is a main graph, which may hold constants, or a function.
        nodes: what was added so far, in order.
        initializers: constants of a main graph.
        types: types of named values, in the symbols of this scope.
        past: cache inputs that no attention has taken yet.
        present: cache outputs, in order.
        kept: inputs kept from the first step on that no node has taken yet.
        params: names of the parameters that the body reads, by path.
    """

    def __init__(self, *, is_main: bool) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.types: dict[str, TensorType] = {}
        self.shapes: dict[str, Shape] = {}
        self.past: deque[tuple[str, str]] = deque()
        self.present: list[tuple[str, str]] = []
        self.kept: deque[tuple[str, ...]] = deque()
        self.is_main = is_main
        self._taken: dict[str, int] = {}
        self._constants: dict[tuple[int, tuple[int, ...], bytes], str] = {}
        self._measured: dict[str, Measured] = {}
        self._sizes: dict[Dim, str] = {}
        self._vectors: dict[Shape, str] = {}
        self._pending: dict[str, Shape] = {}
        self.params: dict[str, str] = {}

    def fresh(self, stem: str) -> str:
        """A name that this scope has not used: the stem itself, else with a number."""
        number = self._taken.get(stem, 0)
        while number and f"{stem}_{number}" in self._taken:
            number += 1
        self._taken[stem] = number + 1
        if not number:
            return stem
        name = f"{stem}_{number}"
        self._taken[name] = 1
        return name

    def add_input(self, name: str, kind: TensorType) -> str:
        """Declare an input of the body; its axes tell the run-time sizes."""
        self.add_state(name, kind)
        self.measure(name, kind)
        return name

    def measure(self, name: str, kind: TensorType) -> None:
        """Read run-time sizes off a value of a known type."""
        self.know(name, kind)
        for axis, size in enumerate(self.shapes[name]):
            self._measure(Measured(name, axis), size)

    def add_state(self, name: str, kind: TensorType) -> str:
        """Declare an input that no size is read from."""
        self.fresh(name)
        self.know(name, kind)
        return name

    def read(self, path: str) -> str:
        """Name of a parameter by its path; reading makes it one of `params`."""
        if path not in self.params:
            self.params[path] = self.fresh(path)
        return self.params[path]

    def _measure(self, place: Measured, size: Dim) -> None:
        symbols = size.symbols()
        if len(symbols) != 1:
            return
        terms = dict(size.terms)
        offset = terms.pop((), 0)
        (atoms, factor), *others = terms.items()
        if others or len(atoms) != 1 or not isinstance(atoms[0], Symbol):
            return
        (symbol,) = symbols
        # Later arguments are the ones that all layers of a stack share, so equal sizes of different
        # layers become the same computation.
        if symbol not in self._measured or (factor, offset) == (1, 0):
            self._measured[symbol] = Measured(place.value, place.axis, factor, offset)

    def add(
        self,
        kind: str,
        inputs: Sequence[str | None],
        *,
        stem: str,
        outputs: int = 1,
        domain: str = "",
        results: Sequence[str] = (),
        attributes: dict[str, Any] | None = None,
        notes: dict[str, str] | None = None,
    ) -> tuple[str, ...]:
        """Add a node named after `stem` and its kind; gives the names of its outputs.

        With `results` the outputs are named so (numbered where taken) and the node `stem` alone.
        """
        attributes = dict(attributes or {})
        settled = [self._settle(kind, slot, inputs) for slot in range(len(inputs))]
        if kind == "Reshape" and self._is_exact(inputs):
            attributes["allowzero"] = 1
        while settled and not settled[-1]:
            settled.pop()
        name = self.fresh("/" + (stem if results else f"{stem}/{kind}" if stem else kind))
        stems = results or [f"{name[1:]}_out{slot or ''}" for slot in range(outputs)]
        result = tuple(map(self.fresh, stems))
        self.nodes.append(
            make_node(
                kind,
                settled,
                result,
                name=name,
                domain=domain,
                attributes=attributes,
                notes=notes or {},
            )
        )
        self._follow(kind, inputs, result[0], attributes)
        return result

    def constant(self, array: "np.ndarray[Any, Any]", element: int) -> str:
        """A small tensor, shared between equal uses."""
        tensor = make_tensor("", array, element)
        key = (element, tuple(array.shape), tensor.raw_data)
        if key not in self._constants:
            name = tensor.name = self.fresh(f"const/{len(self._constants)}")
            self._constants[key] = name
            self._place(tensor)
        return self._constants[key]

    def _place(self, tensor: TensorProto) -> None:
        if self.is_main:
            self.initializers.append(tensor)
            return
        node = make_node(
            "Constant",
            (),
            (tensor.name,),
            name="/" + tensor.name,
            domain="",
            attributes={"value": tensor},
            notes={},
        )
        self.nodes.append(node)

    def integers(self, values: Sequence[int]) -> str:
        """A constant size vector."""
        return self.constant(np.array(values, np.int64), TensorProto.INT64)

    def size(self, size: Dim) -> str:
        """A one-element size vector; run-time symbols are read off an input."""
        if size.is_const:
            return self.integers([size.value])
        if size not in self._sizes:
            self._sizes[size] = self._polynomial(size)
        return self._sizes[size]

    def _polynomial(self, size: Dim) -> str:
        total = ""
        for atoms, factor in size.terms:
            parts = [self._atom(atom) for atom in atoms]
            if factor != 1 or not parts:
                parts.append(self.integers([factor]))
            term = parts[0]
            for part in parts[1:]:
                term = self._arithmetic("Mul", term, part)
            total = self._arithmetic("Add", total, term) if total else term
        return total

    def _arithmetic(self, kind: str, left: str, right: str) -> str:
        return self.add(kind, (left, right), stem="sizes")[0]

    def _atom(self, atom: Atom) -> str:
        match atom:
            case Symbol(name):
                return self._symbol(name)
            case Quotient(top, bottom):
                return self._arithmetic("Div", self.size(top), self.size(bottom))
            case Remainder(top, bottom):
                return self._arithmetic("Mod", self.size(top), self.size(bottom))

    def _symbol(self, name: str) -> str:
        known = Dim.symbol(name)
        if known in self._sizes:
            return self._sizes[known]
        if name not in self._measured:
            raise OnnxError(f"no input of the graph has an axis that tells the size `{name}`")
        place = self._measured[name]
        ends = {"start": place.axis, "end": place.axis + 1}
        value = self.add("Shape", (place.value,), stem="sizes", attributes=ends)[0]
        if place.offset:
            value = self._arithmetic("Sub", value, self.integers([place.offset]))
        if place.factor != 1:
            value = self._arithmetic("Div", value, self.integers([place.factor]))
        self._sizes[known] = value
        return value

    def vector(self, sizes: Shape) -> str:
        """A size vector that is made only when a node other than a reshape reads it."""
        name = "?" + ",".join(map(str, sizes))
        self._pending[name] = sizes
        return name

    def _settle(self, kind: str, slot: int, inputs: Sequence[str | None]) -> str:
        name = inputs[slot] or ""
        sizes = self._pending.get(name)
        if sizes is None:
            return name
        if kind == "Reshape" and slot == 1:
            pattern = reshape_pattern(self.shapes.get(inputs[0] or ""), sizes)
            if pattern is not None:
                return self.integers(pattern)
        return self._exact(sizes)

    def _is_exact(self, inputs: Sequence[str | None]) -> bool:
        sizes = self._pending.get(inputs[1] or "")
        return (
            sizes is not None and reshape_pattern(self.shapes.get(inputs[0] or ""), sizes) is None
        )

    def _exact(self, sizes: Shape) -> str:
        if all(size.is_const for size in sizes):
            return self.integers([size.value for size in sizes])
        if len(sizes) == 1:
            return self.size(sizes[0])
        if sizes not in self._vectors:
            parts = [self.size(size) for size in sizes]
            self._vectors[sizes] = self.add("Concat", parts, stem="sizes", attributes={"axis": 0})[
                0
            ]
        return self._vectors[sizes]

    def _follow(
        self, kind: str, inputs: Sequence[str | None], result: str, attributes: dict[str, Any]
    ) -> None:
        """Keep track of shapes through the nodes that usually surround a reshape."""
        source = self.shapes.get(inputs[0] or "") if inputs else None
        if kind == "Reshape":
            shape = self._pending.get(inputs[1] or "")
            if shape and any(size.is_const and size.value < 0 for size in shape):
                return
        elif kind == "Transpose" and source is not None and "perm" in attributes:
            shape = tuple(source[axis] for axis in attributes["perm"])
        elif kind == "Cast":
            shape = source
        else:
            return
        if shape is not None:
            self.shapes[result] = shape

    def know(self, name: str, kind: TensorType) -> None:
        """Record the type of a value, for later reshapes and for `value_info`."""
        self.types[name] = kind
        self.shapes[name] = tuple(axis for axis in kind.shape if isinstance(axis, Dim))

    def rename(self, old: str, new: str, *, since: int) -> None:
        """Rename a value in the nodes from index `since` on (the ones that make and read it)."""
        for node in self.nodes[since:]:
            for names in (node.input, node.output):
                for slot, name in enumerate(names):
                    if name == old:
                        names[slot] = new
        if old in self.types:
            self.types[new] = self.types.pop(old)
        if old in self.shapes:
            self.shapes[new] = self.shapes.pop(old)

    def settle(self, name: str) -> str:
        """The name to pass on: size vectors that were only announced are made now."""
        return self._exact(self._pending[name]) if name in self._pending else name

    def is_shared(self, name: str) -> bool:
        """Whether other nodes may find this value again by what it means."""
        return name in self._sizes.values() or name in self._vectors.values()

    def scalar(self, size: Dim) -> str:
        """A size as a rank-0 int64 tensor."""
        if size.is_const:
            return self.constant(np.asarray(size.value, np.int64), TensorProto.INT64)
        return self.add("Squeeze", (self.size(size),), stem="sizes")[0]

    def own_results(self, names: Sequence[str | None]) -> tuple[str, ...]:
        """Outputs of the body: each made by a node of its own, no name twice."""
        made = {name for node in self.nodes for name in node.output}
        results: list[str] = []
        for name in names:
            own = name in made and name not in results
            results.append(
                name if own and name else self.add("Identity", (name,), stem="results")[0]
            )
        return tuple(results)

    def makes(self, name: str, *, since: int) -> bool:
        """Whether a node from index `since` on has this output."""
        return any(name in node.output for node in self.nodes[since:])


def reshape_pattern(source: Shape | None, sizes: Shape) -> list[int] | None:
    """Target of a `Reshape` with 0 for axes that stay in place and at most one -1, or None.

    None means that the exact sizes are needed (then 0 stands for an empty axis, not for a copied one).
    """
    if any(size.is_const and not size.value for size in sizes):
        return None
    pattern: list[int] = []
    for axis, size in enumerate(sizes):
        stays = source is not None and axis < len(source) and source[axis] == size
        pattern.append(size.value if size.is_const else 0 if stays else -1)
    return pattern if pattern.count(-1) <= 1 else None
