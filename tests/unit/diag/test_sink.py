"""The sink: order, repeats, levels."""

from lmmdsl.diag.codes.names import UnknownName, UnusedImport
from lmmdsl.diag.codes.project import FileMissing
from lmmdsl.diag.sink import Sink
from tests.unit.diag.sources import LIBRARY, SPEC, at


def unknown(file, text):
    return UnknownName(at=at(file, text), name=text)


def test_sink_sorts_by_file_and_offset():
    sink = Sink()
    for found in (unknown(LIBRARY, "out"), unknown(SPEC, "Vit"), unknown(SPEC, "Mlp")):
        sink.add(found)
    sink.add(FileMissing(path="x.lmm"))
    places = [str(d.primary) if d.primary else "" for d in sink.diagnostics]
    assert places == ["", "specs/demo.lmm:1:17", "specs/demo.lmm:3:19", "std/lib.lmm:1:15"]


def test_sink_same_message_at_same_place_is_kept_once():
    sink = Sink()
    sink.add(unknown(SPEC, "Vit"))
    with sink.tracing(at(SPEC, "proj"), "while instantiating `proj` here"):
        sink.add(unknown(SPEC, "Vit"))
    assert len(sink) == 1


def test_sink_warning_is_no_error():
    sink = Sink()
    sink.add(UnusedImport(at=at(SPEC, "Mlp"), name="Mlp"))
    assert not sink.has_errors
    sink.add(unknown(SPEC, "Vit"))
    assert sink.has_errors


def test_sink_levels_are_outermost_first_and_close():
    sink = Sink()
    with sink.tracing(at(SPEC, "vision"), "outer"), sink.tracing(at(SPEC, "proj"), "inner"):
        sink.add(unknown(SPEC, "Vit"))
    sink.add(unknown(SPEC, "Mlp"))
    last, first = sink.diagnostics
    assert [text for _, text in first.trace] == ["outer", "inner"]
    assert last.trace == ()


def test_sink_library_mistake_is_lifted_to_the_innermost_level_outside():
    sink = Sink(lambda file: file is LIBRARY)
    levels = (at(SPEC, "vision"), at(SPEC, "proj"), at(LIBRARY, "weight"))
    with (
        sink.tracing(levels[0], "a"),
        sink.tracing(levels[1], "b"),
        sink.tracing(levels[2], "c"),
    ):
        sink.add(unknown(LIBRARY, "linear"))
    assert sink.diagnostics[0].lifted == levels[1]
    assert sink.diagnostics[0].at == at(LIBRARY, "linear")
