"""Sizes and names inside a graph body."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper

from lmmdsl.backends.onnx.protos import make_value
from lmmdsl.backends.onnx.scope import OnnxError, Scope, reshape_pattern
from lmmdsl.dims.expr import Dim
from lmmdsl.types.tensor import DType, TensorType

B, T = Dim.symbol("B"), Dim.symbol("T")
pytestmark = pytest.mark.onnx


def dims(*sizes):
    return tuple(Dim.of(size) for size in sizes)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ((B, T, 6), (B, T, 2, 3), [0, 0, 2, 3]),
        ((B, T, 6), (B * T, 6), [-1, 6]),
        (None, (B, 3), [-1, 3]),
        ((B, 2, T, 3), (B * 2, T, 3), None),
        ((0, 6), (0, 2, 3), None),
        ((T, B), (B, T), None),
    ],
    ids=["split", "flatten", "unknown", "two-sizes", "empty", "swapped"],
)
def test_reshape_pattern_copies_what_stays_and_infers_one_axis(source, target, expected):
    known = None if source is None else dims(*source)

    assert reshape_pattern(known, dims(*target)) == expected


def evaluate(size, *, batch, tokens):
    scope = Scope(is_main=True)
    scope.add_input("x", TensorType(DType.FLOAT, (B, T)))
    name = scope.size(size)
    graph = GraphProto(
        name="g",
        node=scope.nodes,
        initializer=scope.initializers,
        input=[make_value("x", scope.types["x"], TensorProto.FLOAT)],
        output=[helper.make_tensor_value_info(name, TensorProto.INT64, [1])],
    )
    model = ModelProto(ir_version=10, opset_import=[helper.make_opsetid("", 21)], graph=graph)
    session = ort.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.zeros((batch, tokens), np.float32)})[0].tolist()


@pytest.mark.parametrize(
    "size",
    [B, B * T * 3 + 1, (B + T) // 2, T % 4, B * 2 - T],
    ids=str,
)
def test_size_is_computed_from_the_shape_of_an_input(size):
    assert evaluate(size, batch=5, tokens=7) == [size.evaluate({"B": 5, "T": 7})]


def test_size_read_from_a_multiple_of_it():
    scope = Scope(is_main=True)
    scope.add_input("x", TensorType(DType.FLOAT, (T * 4 + 1,)))

    scope.size(T)

    assert [node.op_type for node in scope.nodes] == ["Shape", "Sub", "Div"]


def test_size_that_no_input_tells_is_an_error():
    with pytest.raises(OnnxError, match="`Q`"):
        Scope(is_main=True).size(Dim.symbol("Q"))


def test_equal_constants_are_stored_once():
    scope = Scope(is_main=True)

    names = {scope.integers([1, 2]), scope.integers([1, 2]), scope.integers([2, 1])}

    assert len(names) == len(scope.initializers) == 2


def test_fresh_never_gives_a_name_twice():
    scope = Scope(is_main=False)

    names = [scope.fresh(stem) for stem in ("x", "x_1", "x", "x", "x_1")]

    assert len(set(names)) == len(names)
