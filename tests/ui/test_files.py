"""Messages about files: what no text of a spec alone can bring about."""

import pytest

from lmmdsl.diag.render import render
from lmmdsl.driver.session import CompileFailed, Request, Session

BLOCK = """block Scale(width) {
  weight: param [width] = ones
  forward(x: [*b, width]) -> [*b, width] { return x * weight }
}
"""
MODEL = """from shared.blocks import Scale

model Mine {
  part scale: Scale(width = 8)
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's folder."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


def report(path: str) -> str:
    return "\n" + render(Session().check(Request(path=path)).diagnostics)


def test_import_through_a_link_out_of_the_folder_is_refused(folder):
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "blocks.lmm").write_text(BLOCK)
    (folder / "shared").symlink_to(outside)
    (folder / "mine.lmm").write_text(MODEL)
    assert (
        report("mine.lmm")
        == """
error[E0210]: module `shared.blocks` lies outside the folder of the spec
 --> mine.lmm:1:6
  |
1 | from shared.blocks import Scale
  |      ^^^^^^^^^^^^^
  |
help: copy the module beside the spec

1 error
"""
    )


def test_file_that_is_missing_has_near_names(folder):
    (folder / "mine.lmm").write_text(BLOCK)
    assert (
        report("mine2.lmm")
        == """
error[E0901]: there is no file `mine2.lmm`
help: did you mean `mine.lmm`?

1 error
"""
    )


def test_file_that_is_not_text_is_refused(folder):
    (folder / "mine.lmm").write_bytes(b"\xff\xfe\x00")
    assert (
        report("mine.lmm")
        == """
error[E0902]: `mine.lmm` is not UTF-8 text

1 error
"""
    )


def test_folder_instead_of_file_is_refused(folder):
    (folder / "mine.lmm").mkdir()
    assert (
        report("mine.lmm")
        == """
error[E0906]: cannot read `mine.lmm`: it is not a regular file

1 error
"""
    )


def test_module_of_blocks_is_fine_to_check_and_no_model(folder):
    (folder / "mine.lmm").write_text(BLOCK)
    request = Request(path="mine.lmm")
    assert Session().check(request).diagnostics == ()
    with pytest.raises(CompileFailed) as failure:
        Session().program(request)
    assert [d.code for d in failure.value.diagnostics] == ["E0212"]
