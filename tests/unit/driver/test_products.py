"""Pictures, and what is said when a library is missing."""

import builtins

import pytest

import lmmdsl
from lmmdsl.backends.dot import DrawError
from lmmdsl.cli.main import run
from lmmdsl.resources import specs_folder

SPEC = str(specs_folder() / "llava_v1_5.lmm")


@pytest.fixture
def without_onnx(monkeypatch):
    """As where the package is installed without its extras."""
    real = builtins.__import__

    def refuse(name, *rest, **options):
        if name.startswith("lmmdsl.backends.onnx"):
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_missing_library_is_named_with_its_extra(without_onnx, tmp_path, capsys):
    code = run(["compile", SPEC, "--to", "onnx", "-o", str(tmp_path / "out")])
    printed = capsys.readouterr().err

    assert code == 1
    assert "error[E0907]: this needs `onnx`" in printed
    assert "pip install 'lmmdsl[onnx]'" in printed


@pytest.mark.parametrize("suffix", ["dot", "mmd"])
def test_picture_as_text_needs_nothing(tmp_path, suffix):
    target = tmp_path / f"model.{suffix}"

    assert run(["draw", SPEC, "-o", str(target)]) == 0
    assert "vision" in target.read_text(encoding="utf-8")


@pytest.mark.dot
@pytest.mark.parametrize(
    ("form", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")]
)
def test_picture_is_drawn(tmp_path, form, start):
    pytest.importorskip("pygraphviz")
    target = tmp_path / "picture"

    assert run(["draw", SPEC, "-o", str(target), "--to", form]) == 0
    assert target.read_bytes().startswith(start)


def test_picture_of_an_unknown_part_is_wrong_usage(tmp_path, capsys):
    code = run(["draw", SPEC, "-o", str(tmp_path / "a.dot"), "--level", "part", "--part", "vison"])

    assert code == 2
    assert "there is `vision`" in capsys.readouterr().err


def test_picture_without_a_form_is_wrong_usage(tmp_path, capsys):
    assert run(["draw", SPEC, "-o", str(tmp_path / "picture")]) == 2
    assert "does not say what to draw" in capsys.readouterr().err


def test_drawing_an_unknown_stage_raises():
    with pytest.raises(DrawError):
        lmmdsl.load(SPEC).draw(stage="none")


def test_compile_to_a_picture_writes_the_model(tmp_path):
    target = tmp_path / "model.mmd"

    assert run(["compile", SPEC, "--to", "mermaid", "-o", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == lmmdsl.load(SPEC).draw().mermaid
