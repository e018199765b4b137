"""Formatting keeps the tree and the comments, and formatting again changes nothing."""

import random
from pathlib import Path

import pytest

from lmmdsl.fmt import WIDTH, DoesNotParse, format_source
from tests.fmt.trees import comments, leaves, tree

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "specs").rglob("*.lmm"), *(ROOT / "tests/fmt").glob("*.lmm")])
GAPS = [" "] * 12 + [
    "\n",
    "\n",
    "\n\n\n",
    "   \n\t",
    "  # note\n",
    "\n# above\n",
    "\n\n  #above\n\n",
    "",
]

# Specs of the tests: small, many, some of them no specs at all.
OTHERS = sorted({*(ROOT / "tests").rglob("*.lmm"), *(ROOT / "tools").rglob("*.lmm")} - set(FILES))

by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def scattered(text, seed):
    """The same tokens with other spaces, line breaks and comments between them."""
    draw = random.Random(seed)
    found = []
    for before, after in zip(tokens := leaves(text), tokens[1:], strict=False):
        gap = draw.choice(GAPS)
        touching = before.text[-1:] + after.text[:1]
        needs_space = not gap and (
            touching.replace("_", "a").isalnum() or touching in ("**", "//", "<=")
        )
        found += [before.text, " " if needs_space else gap]
    return "".join(found)


@by_name
def test_a_file_keeps_its_tree_and_comments(path):
    text = path.read_text(encoding="utf-8")
    formatted = format_source(text)

    assert tree(formatted) == tree(text)
    assert comments(formatted) == comments(text)
    assert format_source(formatted) == formatted


@by_name
@pytest.mark.parametrize("seed", range(4))
def test_scattered_tokens_keep_their_tree_and_comments(path, seed):
    text = scattered(path.read_text(encoding="utf-8"), seed)
    formatted = format_source(text)

    assert tree(formatted) == tree(text)
    assert sorted(comments(formatted)) == sorted(comments(text))
    assert format_source(formatted) == formatted


@by_name
def test_lines_are_no_wider_than_the_page(path):
    formatted = format_source(path.read_text(encoding="utf-8"))
    wide = [
        line
        for line in formatted.splitlines()
        if len(line) > WIDTH and "#" not in line and '"' not in line
    ]

    assert wide == []


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_a_spec_of_the_tests_keeps_its_tree_or_is_refused(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        formatted = format_source(text)
    except DoesNotParse as refused:
        assert {d.code[:3] for d in refused.diagnostics} == {"E01"}  # noqa: PT017
    else:
        assert tree(formatted) == tree(text)
        assert comments(formatted) == comments(text)
