"""Titles of components: what the spec calls them, and what a variant calls them instead."""

import pytest

import lmmdsl

TITLED = """
from std.llm.llama import Llama

model Titled {
  part note: Llama(width = 8, depth = 1, heads = 2, mlp_width = 12, vocab = 20, context = 30) as "a \\"note\\""
  llm  llm:  Llama(width = 8, depth = 1, heads = 2, mlp_width = 12, vocab = 20, context = 30) as "Alpha"

  variant beta { llm as "Beta", llm.depth = 2 }
  variant same { llm.depth = 2 }
}
"""


@pytest.mark.parametrize(
    ("variant", "title"),
    [(None, "Alpha"), ("beta", "Beta"), ("same", "Alpha")],
    ids=["none", "retitled", "kept"],
)
def test_title_is_that_of_the_variant_or_of_the_part(tmp_path, variant, title):
    path = tmp_path / "titled.lmm"
    path.write_text(TITLED, encoding="utf-8")

    roles = lmmdsl.load(path, variant=variant).program.roles

    assert {role.part: role.title for role in roles} == {"note": 'a "note"', "llm": title}
