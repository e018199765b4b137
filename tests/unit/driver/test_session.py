"""Sessions and the Python interface."""

import pytest

import lmmdsl
from lmmdsl.driver.session import Request, Session

SCALE = "block Scale(width) {\n  weight: param [width]\n}\n"


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "main.lmm"
    path.write_text(
        "from part import Scale\nblock Twice(width) { a: Scale(width) }\n", encoding="utf-8"
    )
    (tmp_path / "part.lmm").write_text(SCALE, encoding="utf-8")
    return path


def test_check_of_unchanged_sources_is_remembered(spec):
    session, request = Session(), Request(path=str(spec))

    assert session.check(request) is session.check(request)


@pytest.mark.parametrize("name", ["main.lmm", "part.lmm"])
def test_check_after_a_source_changed_is_done_again(spec, name):
    session, request = Session(), Request(path=str(spec))
    first = session.check(request)
    (spec.parent / name).write_text("block Other(", encoding="utf-8")

    assert not first.has_errors
    assert session.check(request).has_errors


def test_check_sees_a_module_that_appears_later(spec):
    session, request = Session(), Request(path=str(spec))
    (spec.parent / "part.lmm").unlink()
    first = session.check(request)
    (spec.parent / "part.lmm").write_text(SCALE, encoding="utf-8")

    assert first.has_errors
    assert not session.check(request).has_errors


def test_check_of_a_module_of_blocks_is_clean(spec):
    assert lmmdsl.check(spec) == ()


def test_load_of_a_module_of_blocks_fails(spec):
    with pytest.raises(lmmdsl.CompileFailed) as caught:
        lmmdsl.load(spec)

    assert [item.code for item in caught.value.diagnostics] == ["E0212"]


def test_load_that_fails_says_everything(tmp_path):
    path = tmp_path / "broken.lmm"
    path.write_text("block A(\n\nblock B(\n", encoding="utf-8")

    with pytest.raises(lmmdsl.CompileFailed) as caught:
        lmmdsl.load(path)

    assert [item.code for item in caught.value.diagnostics] == ["E0101", "E0101"]
    assert str(caught.value).count("error[E0101]") == 2
    assert str(caught.value).endswith("2 errors")
