"""The pages beside this file: commands, what they print, and their exit codes."""

from pathlib import Path

import pytest

from tests.support.console import read_sections, replay

PAGES = sorted(Path(__file__).parent.glob("*.md"))
SECTIONS = [section for page in PAGES for section in read_sections(page)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.id)
def test_commands_print_what_the_page_says(section, tmp_path, monkeypatch, pytestconfig):
    monkeypatch.chdir(tmp_path)
    now = replay(section)

    if pytestconfig.getoption("--bless"):
        text = section.page.read_text(encoding="utf-8")
        section.page.write_text(text.replace(section.text, now), encoding="utf-8")
    else:
        assert now == section.text
