"""Sources from disk and from memory."""

import os

import pytest

from lmmdsl.diag.sink import Sink
from lmmdsl.driver import files as module
from lmmdsl.driver.files import Files


@pytest.fixture
def sink():
    return Sink()


def codes(sink):
    return [item.code for item in sink.diagnostics]


def spec(folder, name, text="block A() { }\n"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_module_beside_the_importer_is_found(tmp_path, sink):
    files = Files()
    spec(tmp_path, "parts/layer.lmm", "# here\n")
    source = files.open(spec(tmp_path, "main.lmm"), sink)

    found = files.module("parts.layer", source, sink)

    assert found.text == "# here\n"
    assert found.name == str(tmp_path / "parts" / "layer.lmm")


def test_module_of_the_library_is_found_by_its_short_name(tmp_path, sink):
    files = Files()
    source = files.open(spec(tmp_path, "main.lmm"), sink)

    found = files.module("std.nn", source, sink)

    assert found.name == "std/nn.lmm"
    assert files.is_library(found)
    assert not files.is_library(source)


def test_module_asked_twice_is_the_same_source(tmp_path, sink):
    files = Files()
    source = files.open(spec(tmp_path, "main.lmm"), sink)

    assert files.module("std.nn", source, sink) is files.module("std.nn", source, sink)


def test_module_through_a_link_out_of_the_folder_is_not_found(tmp_path, sink):
    spec(tmp_path, "outside/secret.lmm")
    main = spec(tmp_path, "inside/main.lmm")
    os.symlink(tmp_path / "outside", tmp_path / "inside" / "link")
    files = Files()

    assert files.module("link.secret", files.open(main, sink), sink) is None


def test_modules_are_listed_for_suggestions(tmp_path, sink):
    spec(tmp_path, "layer.lmm")
    files = Files()
    source = files.open(spec(tmp_path, "main.lmm"), sink)

    names = files.modules(source)

    assert {"layer", "std.nn"} <= set(names)
    assert "main" not in names


def test_missing_file_is_reported_with_near_names(tmp_path, sink, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec(tmp_path, "model.lmm")

    assert Files().open("modle.lmm", sink) is None
    assert codes(sink) == ["E0901"]
    assert "model.lmm" in sink.diagnostics[0].helps()[0]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_regular_file_is_reported(tmp_path, sink, kind):
    path = tmp_path / "odd.lmm"
    path.mkdir() if kind == "folder" else os.mkfifo(path)

    assert Files().open(str(path), sink) is None
    assert codes(sink) == ["E0906"]


def test_file_that_is_not_text_is_reported(tmp_path, sink):
    path = tmp_path / "a.lmm"
    path.write_bytes(b"\xff\xfe\x00")

    assert Files().open(str(path), sink) is None
    assert codes(sink) == ["E0902"]


def test_large_file_is_reported(tmp_path, sink, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 10)

    assert Files().open(spec(tmp_path, "a.lmm", "#" * 11), sink) is None
    assert codes(sink) == ["E0906"]


def test_byte_order_mark_and_line_ends_are_taken_off(tmp_path, sink):
    path = tmp_path / "a.lmm"
    path.write_bytes(b"\xef\xbb\xbf# a\r\n# b\r\n")

    assert Files().open(str(path), sink).text == "# a\n# b\n"


def test_overlay_stands_for_the_file(tmp_path, sink):
    path = tmp_path / "new.lmm"

    assert Files({path: "# open\n"}).open(str(path), sink).text == "# open\n"
