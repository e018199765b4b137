"""The editor's grammar follows the language's."""

import json
import re

import pytest

from tools import gen_grammar


def test_the_files_are_fresh():
    assert gen_grammar.TARGET.read_text(encoding="utf-8") == gen_grammar.text()
    assert gen_grammar.REFERENCE.read_text(encoding="utf-8") == gen_grammar.reference()


@pytest.mark.parametrize(
    ("line", "scope"),
    [
        ("# note", "comment.line"),
        ('"text # no comment"', "string.quoted.double"),
        ("<image>", "constant.other.token"),
        ("return x", "keyword.control"),
        ("1e-5", "constant.numeric"),
        ("Linear(1)", "entity.name.type"),
        ("softmax(x)", "entity.name.function"),
        ("|>", "keyword.operator"),
        ("not a", "keyword.operator.word"),
        ("layout chat", "keyword.other"),
    ],
)
def test_the_first_pattern_that_matches_gives_the_scope(line, scope):
    patterns = json.loads(gen_grammar.text())["patterns"]
    found = [
        p["name"]
        for p in patterns
        if "name" in p and re.match(p.get("match", p.get("begin")), line)
    ]

    assert found[0].startswith(scope)
