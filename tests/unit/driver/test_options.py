"""Settings from outside."""

import math

import pytest

from lmmdsl.diag.sink import Sink
from lmmdsl.driver.options import BadSetting, parse_overrides, settings_text, split_setting


def test_setting_is_split_at_the_first_equals():
    assert split_setting("llm.depth = 2 == 3") == ("llm.depth", "2 == 3")


@pytest.mark.parametrize(
    "text", ["llm.depth", "llm.depth=", "=3", "llm..depth=3", "a b=3", "ll\u0301m=3"]
)
def test_setting_of_another_form_is_refused(text):
    with pytest.raises(BadSetting):
        split_setting(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (True, "true"),
        (None, "none"),
        (1e-6, "1e-06"),
        ("silu", "silu"),
        ([1, 2.5], "[1, 2.5]"),
    ],
    ids=repr,
)
def test_python_value_is_written_in_the_language(value, text):
    assert settings_text({"a.b": value}) == (("a.b", text),)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, {"a": 1}, object()], ids=["nan", "inf", "dict", "object"]
)
def test_python_value_without_a_form_is_refused(value):
    with pytest.raises(BadSetting):
        settings_text({"a": value})


def test_override_has_its_path_and_value():
    (override,) = parse_overrides([("llm.depth", "2 * 3")], Sink())

    assert override.path == ("llm", "depth")
    assert override.value.operator == "*"


def test_override_that_does_not_parse_is_reported_with_its_option():
    sink = Sink()

    assert parse_overrides([("llm.depth", "2 *")], sink) == ()
    assert str(sink.diagnostics[0]).startswith("--set llm.depth:1:")
