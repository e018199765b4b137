"""The document algebra: where lines break."""

import pytest

from lmmdsl.pretty.doc import (
    Fill,
    Group,
    Hard,
    IfBroken,
    Line,
    Nest,
    Remark,
    flat_width,
    render,
    separated,
)


def text(doc, width=20):
    """A document as it is printed."""
    return "\n".join(map(str, render(doc, width)))


def call(*arguments):
    """`f(a, b)` with a break after each argument."""
    inner = separated(arguments, (",", Line()))
    return Group(("f(", Nest((Line(""), inner, IfBroken(","))), Line(""), ")"))


def test_a_group_that_fits_stands_on_one_line():
    assert text(call("a", "b")) == "f(a, b)"


def test_a_group_that_does_not_fit_takes_all_its_own_breaks():
    assert text(call("aaaaaaaaaa", "bbbbbbbbbb")) == "f(\n  aaaaaaaaaa,\n  bbbbbbbbbb,\n)"


def test_an_outer_group_breaks_before_an_inner_one():
    assert text(call(call("aaaa", "b"), "ccccccc")) == "f(\n  f(aaaa, b),\n  ccccccc,\n)"


def test_what_follows_a_group_counts_up_to_the_next_break():
    assert text((call("aaaaaa", "bbbbbb"), " tail")) == "f(\n  aaaaaa,\n  bbbbbb,\n) tail"


def test_a_hard_break_breaks_the_groups_around_it():
    assert text(call("a", ("b", Hard(), "c"))) == "f(\n  a,\n  b\n  c,\n)"


def test_a_fill_puts_as_much_on_a_line_as_fits():
    assert text(Fill(("aaaa", "bbbb", "cccc", "dddd", "eeee")), 10) == "aaaa bbbb\ncccc dddd\neeee"


def test_nothing_follows_a_comment_on_its_line():
    assert text(call(("a", Remark("# x", 1, own=False)), "b")) == "f(\n  a,  # x\n  b,\n)"


def test_a_comment_at_the_end_of_a_group_does_not_break_it():
    assert text((call("a", "b"), Remark("# x", 1, own=False))) == "f(a, b)  # x"


def test_a_comment_of_its_own_line_stays_on_one():
    assert text(call("a", (Remark("# x", 1, own=True), "b"))) == "f(\n  a,\n  # x\n  b,\n)"


@pytest.mark.parametrize(
    ("doc", "width"), [("abc", 3), (call("a", "b"), 7), (("a", Hard(), "b"), None)]
)
def test_the_width_on_one_line(doc, width):
    assert flat_width(doc) == width


def test_a_long_fill_is_laid_out_in_linear_time():
    assert len(render(Fill(("1,",) * 50_000), 120)) == 1250
