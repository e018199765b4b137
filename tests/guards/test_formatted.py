"""Every spec that ships has the one layout."""

from lmmdsl.fmt import format_source


def test_specs_are_formatted(specs):
    texts = {path.name: path.read_text(encoding="utf-8") for path in specs}

    assert [name for name, text in texts.items() if format_source(text, name) != text] == []
