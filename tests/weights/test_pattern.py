"""Names to ignore: wildcards match as they read, and hostile ones take no time."""

import time

import pytest

from lmmdsl.weights.pattern import matcher


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("head.bias", "head.bias", True),
        ("head.bias", "head.bias2", False),
        ("*.bias", "head.bias", True),
        ("*rotary*", "layers.3.rotary.inv_freq", True),
        ("h.{i}.mask", "h.12.mask", True),
        ("h.{i}.mask", "h.x.mask", False),
        ("a.*.{i}.b", "a.q.z.12.b", True),
        ("a.*.{i}.b", "a.12.b", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a.b", "axb", False),
        ("*", "any\nthing", True),
    ],
)
def test_names_match_as_they_read(pattern, name, matches):
    assert bool(matcher((pattern,)).fullmatch(name)) is matches


def test_without_patterns_nothing_is_ignored():
    assert not matcher(()).fullmatch("")


@pytest.mark.parametrize("pattern", ["*a" * 40 + "b", "{i}" * 40 + "b", "*{i}" * 40 + "b"])
def test_hostile_patterns_take_no_time(pattern):
    start = time.perf_counter()
    matcher((pattern,)).fullmatch("1a" * 2000 + "c")

    assert time.perf_counter() - start < 5
