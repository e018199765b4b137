"""Axis patterns: what they bind, what they refuse, and the words for it."""

import pytest

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.broadcast import broadcast, product
from lmmdsl.ops.signature import Refused, infer_signature
from lmmdsl.types.tensor import DType, Rest, TensorType

T = Dim.symbol("T")
REST = Rest("b")


def tensor(*axes, dtype=DType.FLOAT):
    return TensorType(dtype, tuple(a if isinstance(a, Rest) else Dim.of(a) for a in axes))


def infer(text, *inputs, **attributes):
    return infer_signature("op", text, attributes, inputs)


def test_axes_are_carried_to_the_output():
    (found,) = infer("x[*b i], weight[o i] -> y[*b o]", tensor(2, T, 8), tensor(3, 8))

    assert found == tensor(2, T, 3)


def test_open_leading_axes_stay_open():
    (found,) = infer("x[*b i] -> y[*b]", tensor(REST, 8))

    assert found == tensor(REST)


def test_attribute_gives_the_axis_of_its_name():
    (found,) = infer("x[*b] -> y[*b o]", tensor(2), o=Dim.of(5))

    assert found == tensor(2, 5)


@pytest.mark.parametrize("dtype", [DType.FLOAT, DType.INT])
def test_number_passes_its_kind_on(dtype):
    (found,) = infer("number x[*b] -> number y[*b]", tensor(2, dtype=dtype))

    assert found.dtype is dtype


@pytest.mark.parametrize(
    ("text", "inputs", "problem"),
    [
        ("x[*b i], w[o i] -> y[*b o]", (tensor(2, 7), tensor(3, 8)), "axis `i` of `w` is 8, not 7"),
        ("x[a b] -> y[a]", (tensor(2),), "`x` must have axes [a b], but has shape [2]"),
        ("x[*b i] -> y[*b]", (tensor(),), "`x` must have axes [*b i], but has shape []"),
        ("x[a b] -> y[a]", (tensor(REST, 2),), "`x` must have axes [a b], but has shape [*b, 2]"),
        ("x[a 2] -> y[a]", (tensor(5, 3),), "the axis of `x` is 3, not 2"),
        ("int x[a] -> y[a]", (tensor(5),), "`x` must be int, but [5] is float"),
        ("number x[a] -> y[a]", (tensor(5, dtype=DType.BOOL),), "`x` must be float or int"),
        ("x[*b], y[*b i] -> z[i]", (tensor(2, 3), tensor(3, 5)), "leading axes of `y` are [3], not [2, 3]"),
        ("x[a], y[a] -> z[a]", (tensor(2), None), "`op` needs `y`"),
    ],
)  # fmt: skip
def test_refusal_names_the_axis(text, inputs, problem):
    with pytest.raises(Refused) as refusal:
        infer(text, *inputs)

    assert problem in refusal.value.problem


def test_refusal_tells_what_is_bound():
    with pytest.raises(Refused) as refusal:
        infer("x[*b i], w[o i] -> y[*b o]", tensor(2, 7), tensor(3, 8))

    assert refusal.value.bound == {"*b": "[2]", "i": "7", "o": "3"}
    assert refusal.value.sizes == (Dim.of(7), Dim.of(8))


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ((2, T, 8), (8,), (2, T, 8)),
        ((2, 1, 8), (5, 1), (2, 5, 8)),
        ((), (3,), (3,)),
        ((REST, 8), (8,), (REST, 8)),
        ((REST, 8), (), (REST, 8)),
        ((REST, 8), (REST, 8), (REST, 8)),
        ((REST, 8), (REST, 1), (REST, 8)),
    ],
)
def test_broadcast_aligns_shapes_at_the_end(left, right, result):
    shapes = [tensor(*axes).shape for axes in (left, right)]

    assert broadcast(*shapes) == broadcast(*reversed(shapes)) == tensor(*result).shape


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 5), (4,)),
        ((2, T), (5,)),
        ((REST, 8), (2, 8)),
        ((REST, 8), (3, 2, 8)),
        ((REST, 8), (REST, 2, 8)),
        ((REST,), (8,)),
    ],
)
def test_broadcast_refuses_sizes_that_differ(left, right):
    with pytest.raises(Refused, match="do not broadcast"):
        broadcast(tensor(*left).shape, tensor(*right).shape)


def test_product_counts_elements():
    assert product(tensor(2, T, 3).shape) == 6 * T
