"""Did you mean."""

import pytest

from lmmdsl.diag.suggest import did_you_mean, distance, join, nearest, respell
from tests.unit.diag.sources import SPEC, at

KNOWN = ("width", "depth", "heads", "kv_heads", "mlp_width", "image_size")


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [("width", "width", 0), ("widht", "width", 1), ("with", "width", 1), ("", "abc", 3)],
)
def test_distance_counts_edits(left, right, edits):
    assert distance(left, right) == distance(right, left) == edits


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("widht", ("width",)),
        ("Width", ("width",)),
        ("dept", ("depth",)),
        ("num_heads", ("heads",)),
        ("hidden_size", ("width",)),
        ("intermediate_size", ("mlp_width",)),
        ("colour", ()),
        ("x", ()),
        ("mlp", ("mlp_width",)),
    ],
)
def test_nearest_finds_what_was_meant(name, near):
    assert nearest(name, KNOWN) == near


def test_nearest_never_offers_the_name_itself():
    assert nearest("width", ("width",)) == ()


def test_respell_edits_the_name_inside_the_span():
    edit = respell(at(SPEC, "llm.widht"), "widht", KNOWN)[0].edits[0]
    assert (edit.span, edit.text) == (at(SPEC, "widht"), "width")


def test_respell_without_the_name_in_the_span_offers_no_edit():
    assert respell(at(SPEC, "visual"), "widht", KNOWN) == ()


def test_did_you_mean_without_near_name_lists_the_known():
    assert did_you_mean(at(SPEC, "proj"), "proj", ("in", "out")) == ("known here: `in` and `out`",)


def test_join_long_list_says_how_many_more():
    assert join("abcdefghijk", most=3) == "`a`, `b`, `c` and 8 more"
    assert join("ab") == "`a` or `b`"
    assert join("") == ""
