"""Specs and library files with one token missing or cut off: always diagnostics, never a traceback."""

import re

import pytest

from tools import fuzz

CHECKS = 150  # of all changes to all files, evenly spread; `python tools/fuzz.py` makes every one


def test_broken_specs_and_library_files_give_diagnostics():
    files = fuzz.spec_files()
    texts = (path.read_text(encoding="utf-8") for path in files)
    changes = sum(4 * len(re.findall(r"\w+|[^\w\s]", text)) for text in texts)
    found = list(fuzz.failures(files, stride=max(1, changes // CHECKS) | 1))

    assert [f"{f.broken.path.name} {f.broken.change}: {f.problem}" for f in found] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", fuzz.spec_files(), ids=lambda path: path.stem)
def test_every_prefix_of_a_file_gives_diagnostics(path):
    text = path.read_text(encoding="utf-8")
    roots = fuzz.roots()
    cuts = range(0, len(text), max(1, len(text) // 12))
    broken = (fuzz.Broken(path, f"cut off at {cut}", text[:cut]) for cut in cuts)
    found = [fuzz.survives(item, roots.get(path, (path, None))) for item in broken]

    assert [failure for failure in found if failure] == []
