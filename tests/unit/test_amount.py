"""Numbers as people read them."""

import pytest

from lmmdsl.text.amount import exact, share, short, short_bytes, short_operations


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (20_979_712, "21.0 M"), (6_738_415_616, "6.74 B"),
     (99_950, "100 k"), (9_996, "10.0 k"), (13_015_864_320, "13.0 B")],
)  # fmt: skip
def test_short_gives_three_digits(amount, text):
    assert short(amount) == text


def test_short_bytes_counts_in_powers_of_two():
    assert [short_bytes(size) for size in (160, 524_288, 2**31)] == ["160 B", "512 KiB", "2.00 GiB"]


def test_short_operations_counts_in_flop():
    assert [short_operations(n) for n in (12, 390_193_049_600)] == ["12 FLOP", "390 GFLOP"]


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 10**9, "0.01 %"),
        (999, 1000, "99.90 %"),
        (1, 2, "50 %"),
        (0, 0, "0 %"),
    ],
)
def test_share_never_rounds_to_nothing_or_everything(part, whole, text):
    assert share(part, whole) == text


def test_exact_writes_every_digit():
    assert exact(7_062_902_784) == "7,062,902,784"
