"""One operation as a program of its own: types, data and a definition from the cases that its class lists."""

from dataclasses import dataclass

import numpy as np

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Apply, Definition, Graph, Input, Node, Value
from lmmdsl.ops.base import OPS
from lmmdsl.text.source import SourceFile, Span
from lmmdsl.types.tensor import DType, TensorType

SPAN = Span(SourceFile("case.lmm", "case"), 0, 4)
NUMPY = {DType.FLOAT: np.float32, DType.INT: np.int64, DType.BOOL: np.bool_}


@dataclass(frozen=True)
class Operand:
    """One input of a case."""

    name: str
    kind: TensorType
    data: np.ndarray


def make_op(name, case):
    """The operation of a case."""
    return OPS[name](**case.attributes)


def operands(name, case):
    """Inputs in the order of the signature; None where one is left out."""
    cls = OPS[name]
    names = tuple(case.inputs) if cls.is_variadic else cls.operands()
    return tuple(
        None if case.inputs.get(n) is None else _operand(n, case.inputs[n], case.high, seed)
        for seed, n in enumerate(names)
    )


def _operand(name, text, high, seed):
    head, _, values = text.partition(":")
    words = head.split()
    dtype = DType(words.pop(0)) if words and not words[0].isdigit() else DType.FLOAT
    shape = tuple(map(int, words))
    data = np.asarray(_random(dtype, shape, high, seed), NUMPY[dtype])
    if values:
        data = np.array([float(v) for v in values.split()]).reshape(shape).astype(NUMPY[dtype])
    return Operand(name, TensorType(dtype, tuple(map(Dim.of, shape))), data)


def _random(dtype, shape, high, seed):
    rng = np.random.default_rng(seed + 1)
    if dtype is DType.FLOAT:
        return rng.uniform(0.2, 1.8, shape) * rng.choice([1, 1, -1], shape)
    if dtype is DType.INT:
        return rng.integers(0, high, shape)
    seen = rng.random(shape) < 0.6
    seen[..., :1] = True  # a row of a mask that hides everything has no defined result
    return seen


def types_of(given, size=None):
    """Types of the inputs; axes of `size` become the run-time symbol `S`."""
    return tuple(operand and _symbolic(operand.kind, size) for operand in given)


def _symbolic(kind, size):
    shape = tuple(Dim.symbol("S") if axis == Dim.of(size or -1) else axis for axis in kind.shape)
    return TensorType(kind.dtype, shape)


def definition(op, given, kinds):
    """A block whose `forward` applies one operation to its arguments."""
    nodes, inputs, arguments = [], [], []
    for operand, kind in zip(given, kinds, strict=True):
        if operand is None:
            arguments.append(None)
            continue
        nodes.append(Node(Input(operand.name), (), (kind,), SPAN, (operand.name,)))
        inputs.append(Value(len(nodes) - 1))
        arguments.append(inputs[-1])
    made = op.infer(kinds)
    nodes.append(Node(Apply(op), tuple(arguments), made, SPAN, ("",) * len(made)))
    values = [Value(len(nodes) - 1, slot) for slot in range(len(made))]
    names = ["result"] if len(made) == 1 else [f"result.{slot}" for slot in range(len(made))]
    outputs = tuple(zip(names, values, strict=True))
    graph = Graph(tuple(nodes), tuple(inputs), outputs, SPAN)
    return Definition("Case", {}, "One operation.", SPAN, {}, {"forward": graph})
