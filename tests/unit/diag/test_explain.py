"""`lmmc explain`, and what every code promises."""

import pytest

from lmmdsl.diag.explain import explain, find, index, near_codes
from lmmdsl.diag.model import CODES, Severity
from lmmdsl.diag.registry import RETIRED, registry


@pytest.mark.parametrize("word", ["E0401", "e0401", "e401", "401", "operation-refused", "[E0401]"])
def test_find_accepts_spellings_of_a_code(word):
    found = find(word)
    assert found is not None
    assert found.code == "E0401"


def test_explain_shows_title_reason_and_both_examples():
    text = explain("E0202")
    assert text is not None
    assert text.startswith("E0202 (duplicate-name): a name is defined twice\n\nTwo definitions")
    assert "Wrong:\n    norm: LayerNorm(width)" in text


def test_explain_unknown_code_offers_near_ones():
    assert explain("E0499") is None
    assert near_codes("E0499") == ()
    assert "E0201" in near_codes("E0231")
    assert near_codes("duplicate-nam")[0] == "E0202"


def test_index_lists_every_code():
    assert index().count("\n") == len(registry())


def test_registry_holds_every_class_and_no_retired_code():
    assert set(registry()) == set(CODES)
    assert not set(RETIRED) & set(CODES)


@pytest.mark.parametrize("code", list(registry()))
def test_code_follows_the_house_style(code):
    cls = registry()[code]
    text = explain(code)
    assert text is not None
    assert "Wrong:\n" in text
    assert "Right:\n" in text
    assert code[0] == {Severity.ERROR: "E", Severity.WARNING: "W", Severity.INFO: "I"}[cls.severity]
    assert cls.title == cls.title[0].lower() + cls.title[1:]
    assert not cls.title.endswith(".")
    assert cls.slug == cls.slug.lower().replace("_", "-").replace(" ", "-")


def test_slugs_are_distinct():
    slugs = [cls.slug for cls in registry().values()]
    assert len(set(slugs)) == len(slugs)
