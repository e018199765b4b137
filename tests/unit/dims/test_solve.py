"""Sizes solved for their open symbol."""

from lmmdsl.dims.expr import Dim
from lmmdsl.dims.solve import solve

B, T, Q = (Dim.symbol(name) for name in "BTQ")


def test_sum_gives_the_open_symbol():
    assert solve(Q + T, Dim.of(37), {"Q": Dim.of(32)}) == ("T", Dim.of(5))


def test_multiple_divides_exactly():
    assert solve(3 * T + 1, 3 * B + 4, {}) == ("T", B + 1)
    assert solve(3 * T, Dim.of(7), {}) is None


def test_two_open_symbols_stay_open():
    assert solve(Q + T, Dim.of(37), {}) is None


def test_symbol_inside_a_division_stays_open():
    assert solve(T // 2, Dim.of(3), {}) is None
    assert solve(T + T // 2, Dim.of(3), {}) is None
