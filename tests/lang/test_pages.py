"""The examples of the language reference and of the pages in this folder are what they say."""

from pathlib import Path

import pytest

from lmmdsl.fmt import format_source
from tests.lang.pages import check, examples

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "grammars" / "README.md"
PAGES = {page: examples(page) for page in [REFERENCE, *sorted(HERE.glob("*.md"))]}
EXAMPLES = [
    pytest.param(page, example, id=f"{page.stem}: {example.id}")
    for page, found in PAGES.items()
    for example in found
]


@pytest.mark.parametrize(("page", "example"), EXAMPLES)
def test_an_example_is_what_it_says(page, example, tmp_path):
    check(example, PAGES[page], tmp_path)


@pytest.mark.parametrize("example", PAGES[REFERENCE], ids=lambda example: example.id)
def test_an_example_of_the_reference_is_formatted(example):
    if "E01" not in example.text:
        assert format_source(example.text) == example.text
