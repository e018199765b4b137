"""Arguments of operations: tensors by name or place, attributes of the right kind, errors with what is known."""

import pytest

import lmmdsl.ops  # noqa: F401 (registers the operations)
from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OPS
from lmmdsl.ops.call import BadCall, bind
from lmmdsl.ops.conv import Conv2d
from lmmdsl.ops.join import Concat
from lmmdsl.ops.rearrange import Rearrange


class Tensor:
    """Stands for a value of a graph."""


X, Y, Z = Tensor(), Tensor(), Tensor()
N = Dim.symbol("N")


def call(name, *positional, **named):
    return bind(name, positional, named, lambda value: isinstance(value, Tensor))


def test_bind_tensors_by_place_and_name():
    _, operands = call("linear", X, bias=Z, weight=Y)

    assert operands == (X, Y, Z)


def test_bind_optional_tensor_left_out_is_none():
    assert call("linear", X, Y)[1] == call("linear", X, Y, None)[1] == (X, Y, None)


def test_bind_constant_attributes_become_python_numbers():
    op, operands = call("conv2d", X, Y, stride=Dim.of(2), padding="same")

    assert (op, operands) == (Conv2d(stride=2, padding="same"), (X, Y, None))


def test_bind_whole_number_for_a_float_is_a_float():
    op, _ = call("rotary", X, dim=Dim.of(8), theta=Dim.of(10000))

    assert (op.theta, type(op.theta)) == (10000.0, float)


def test_bind_run_time_size_stays_symbolic():
    op, operands = call("arange", N)

    assert (op.size, operands) == (N, ())


def test_bind_positional_attributes_follow_the_tensors():
    assert call("expand", X, (Dim.of(2), N))[0].shape == (Dim.of(2), N)


def test_bind_other_keywords_of_rearrange_are_sizes_of_axes():
    op, _ = call("rearrange", X, "b (h d) -> b h d", h=Dim.of(3))

    assert op == Rearrange(pattern="b (h d) -> b h d", sizes=(("h", Dim.of(3)),))


@pytest.mark.parametrize("tensors", [(X, Y, Z), ((X, Y, Z),)], ids=["spread", "list"])
def test_bind_any_number_of_tensors(tensors):
    assert call("concat", *tensors, axis=Dim.of(1)) == (Concat(axis=1), (X, Y, Z))


def test_bind_list_of_axes_is_a_tuple():
    assert call("mean", X, axis=(Dim.of(1), Dim.of(2)))[0].axis == (1, 2)


def test_bind_constant_operand_is_kept_for_the_graph():
    assert call("maximum", X, 0.5)[1] == (X, 0.5)


@pytest.mark.parametrize(
    ("arguments", "named", "kind", "name"),
    [
        (("linear", X, Y), {"bia": Z}, "unknown", "bia"),
        (("linear", X, Y), {"weight": Z}, "unknown", "weight"),
        (("linear", X), {}, "missing", "weight"),
        (("linear", X, None), {}, "missing", "weight"),
        (("rotary", X), {}, "missing", "dim"),
        (("concat", X, Y), {}, "missing", "axis"),
        (("relu", X, Y), {}, "many", ""),
        (("conv2d", X, Y), {"stride": 0.5}, "wrong", "stride"),
        (("conv2d", X, Y), {"stride": N}, "wrong", "stride"),
        (("conv2d", X, Y), {"padding": True}, "wrong", "padding"),
        (("attend", X, X, X), {"causal": Dim.of(1)}, "wrong", "causal"),
        (("softmax", X), {"axis": Y}, "wrong", "axis"),
        (("clamp", X), {"low": float("inf")}, "wrong", "low"),
        (("rearrange", X, "b d -> d b"), {"b": "x"}, "wrong", "b"),
    ],
)
def test_bind_reports_what_does_not_fit(arguments, named, kind, name):
    with pytest.raises(BadCall) as problem:
        call(*arguments, **named)

    assert (problem.value.kind, problem.value.name) == (kind, name)


def test_bind_unknown_argument_lists_the_known_ones():
    with pytest.raises(BadCall) as problem:
        call("layer_norm", X, Y, epsilon=1e-5)

    assert problem.value.candidates == ("x", "weight", "bias", "eps")


@pytest.mark.parametrize(
    ("value", "wanted", "found"),
    [
        ("x", "a whole number", "the word `x`"),
        (N, "a whole number", "the size N"),
        (True, "a whole number", "true"),
        (None, "a whole number", "none"),
        ((), "a whole number", "a list"),
    ],
    ids=repr,
)
def test_bind_wrong_kind_is_described(value, wanted, found):
    with pytest.raises(BadCall) as problem:
        call("select", X, axis=value, index=Dim.of(0))

    assert (problem.value.wanted, problem.value.found) == (wanted, found)


@pytest.mark.parametrize("name", OPS)
def test_every_operation_can_be_called_with_its_tensors(name):
    cls = OPS[name]
    tensors = [X] * (1 if cls.is_variadic else len(cls.operands()))
    sample = cls.samples[0]

    assert call(name, *tensors, **_language(sample.attributes))[1] == tuple(tensors)


def _language(attributes):
    """Attributes as the language gives them: whole numbers are sizes, extra sizes are keywords."""
    plain = {
        key: Dim.of(value) if type(value) is int else value for key, value in attributes.items()
    }
    return plain | dict(plain.pop("sizes", ()))
