"""Axis sizes: arithmetic agrees with whole numbers, normal forms decide equality, text reads back."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmmdsl.dims.expr import ONE, ZERO, Dim, TooComplex, Why

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SYMBOLS = ("B", "T", "H", "W")
B, T, H, W = map(Dim.symbol, SYMBOLS)
VALUES = st.fixed_dictionaries({name: st.integers(0, 50) for name in SYMBOLS})
LEAVES = st.integers(-6, 9).map(Dim.of) | st.sampled_from((B, T, H, W))


def combine(inner):
    pairs = st.tuples(inner, inner)
    divided = st.tuples(inner, st.integers(1, 15))
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]),
        pairs.map(lambda p: p[0] - p[1]),
        pairs.map(lambda p: p[0] * p[1]),
        divided.map(lambda p: p[0] // p[1]),
        divided.map(lambda p: p[0] % p[1]),
    )


SIZES = st.recursive(LEAVES, combine, max_leaves=5)


@QUICK
@given(SIZES, SIZES, VALUES)
def test_sum_difference_product_agree_with_whole_numbers(a, b, values):
    left, right = a.evaluate(values), b.evaluate(values)

    found = [(a + b).evaluate(values), (a - b).evaluate(values), (a * b).evaluate(values)]

    assert found == [left + right, left - right, left * right]


@QUICK
@given(SIZES, st.integers(1, 40), VALUES)
def test_quotient_and_remainder_agree_with_whole_numbers(size, divisor, values):
    value = size.evaluate(values)

    found = (size // divisor).evaluate(values), (size % divisor).evaluate(values)

    assert found == divmod(value, divisor)


@QUICK
@given(SIZES, VALUES)
def test_printed_size_means_itself(size, values):
    assert eval(str(size), {}, dict(values)) == size.evaluate(values)


@QUICK
@given(SIZES, SIZES)
def test_addition_and_multiplication_commute(a, b):
    assert (a + b, a * b) == (b + a, b * a)


@QUICK
@given(SIZES, SIZES, SIZES)
def test_multiplication_distributes(a, b, c):
    assert a * (b + c) == a * b + a * c


@QUICK
@given(SIZES, SIZES)
def test_product_divides_exactly(a, b):
    assert a == ZERO or (a * b).divide(a) == b


@QUICK
@given(SIZES, SIZES, VALUES)
def test_exact_quotient_has_no_rest(a, b, values):
    quotient = a.divide(b)

    assert quotient is None or quotient * b == a


@QUICK
@given(SIZES)
def test_neutral_arithmetic_keeps_the_derivation(size):
    size = size.because(Why("width = 8"))

    kept = (size + 0, 0 + size, size - 0, size * 1, 1 * size, size // 1, size.divide(ONE))

    assert [item.why for item in kept] == [size.why] * 7


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (3 * (H // 14), "3*(H//14)"),
        ((H // 14) * (W // 14), "(H//14)*(W//14)"),
        ((H // 14) * (W // 14) + 1, "(H//14)*(W//14) + 1"),
        ((H - 14) // 14 + 1, "H//14"),
        (H // 2 // 7, "H//14"),
        ((2 * H + 1) // 3, "(2*H + 1)//3"),
        (H // (W + 1), "H//(W + 1)"),
        (H % 14 % 14, "H%14"),
        ((15 * H + 3) // 14, "H + (H + 3)//14"),
        (2 * T - B, "-B + 2*T"),
        (Dim.of(0), "0"),
        (B * T + 1, "B*T + 1"),
    ],
    ids=str,
)
def test_size_prints_in_normal_form(size, text):
    assert str(size) == text


@pytest.mark.parametrize(
    ("top", "bottom", "quotient"),
    [
        ((T + 1) * 6, T + 1, Dim.of(6)),
        ((T + 1) * (H + W), H + W, T + 1),
        (T * H, 2 * H, None),
        (T + 1, T, None),
        (Dim.of(577), Dim.of(24), None),
        (T, ZERO, None),
    ],
    ids=str,
)
def test_divide_is_exact_or_none(top, bottom, quotient):
    assert top.divide(bottom) == quotient


@pytest.mark.parametrize("operation", [Dim.__floordiv__, Dim.__mod__], ids=["quotient", "rest"])
def test_division_by_zero_raises(operation):
    with pytest.raises(TooComplex, match="divides by zero"):
        operation(T, 0)


def test_value_of_a_symbol_raises():
    with pytest.raises(ValueError, match="T is not a constant"):
        _ = T.value
