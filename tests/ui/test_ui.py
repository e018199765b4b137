"""Every message, as a user reads it: one case per mistake, at least one per code."""

import re

import pytest

from lmmdsl.diag.model import Diagnostic
from lmmdsl.diag.registry import registry
from lmmdsl.diag.render import render
from tests.ui.cases import HERE, cases, check, check_text

# Codes that no text of a spec alone can bring about, and where they are tested instead.
NOT_FROM_A_SPEC = {
    "E0001": "a bug in the compiler: tests/cli",
    "E0210": "needs a link out of the folder: test_files.py",
    "E0212": "check accepts a module of blocks: test_files.py",
    "E0706": "needs a checkpoint: tests/weights",
    "E0707": "needs a checkpoint: tests/weights",
    "E0901": "needs a missing file: test_files.py",
    "E0902": "needs a file that is not text: test_files.py",
    "E0903": "needs a folder that cannot be written: tests/unit/driver",
    "E0906": "needs a file that cannot be read: test_files.py",
    "E0907": "needs an installation without extras: tests/cli",
}

CASES = [pytest.param(case, id=case.name) for case in cases()]


@pytest.fixture
def folder(request, monkeypatch):
    """Messages name files as the user did, so a case is checked from its own folder."""
    monkeypatch.chdir(request.getfixturevalue("case").spec.parent)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("folder")
def test_case_says_what_its_golden_says(case, golden):
    golden(case.expected, without_library_lines(render(check(case).diagnostics)))


@pytest.mark.parametrize("case", CASES)
def test_case_is_explained_on_top(case):
    first = case.spec.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("folder")
def test_case_fix_removes_the_mistake(case):
    before = check(case).diagnostics
    for diagnostic in before:
        for fix in diagnostic.fixes():
            after = check_text(case, applied(fix.edits)).diagnostics
            assert facts(diagnostic) not in map(facts, after), fix.title


def without_library_lines(text):
    """Line numbers of the library left out: an edit there is no other message."""
    lines, in_library = [], False
    for line in text.splitlines(keepends=True):
        if re.match(r"\w+\[| *(-->|:::) ", line):
            in_library = " std/" in line
            line = re.sub(r"( std/[^:]+):\d+:\d+", r"\1", line)
        number = re.match(r"\d+(?= *\|)", line)
        if in_library and number:
            line = "." * number.end() + line[number.end() :]
        lines.append(line)
    return "".join(lines)


def applied(edits):
    text = edits[0].span.file.text
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def facts(diagnostic: Diagnostic):
    return diagnostic.code, diagnostic.message()


def test_cases_every_code_has_one():
    shown = "".join(case.expected.read_text(encoding="utf-8") for case in cases())
    missing = [code for code in registry() if f"[{code}]" not in shown]
    assert missing == list(NOT_FROM_A_SPEC)


def test_cases_every_golden_has_its_spec():
    orphans = [p.name for p in HERE.rglob("*.stderr") if not p.with_suffix(".lmm").exists()]
    assert orphans == []
