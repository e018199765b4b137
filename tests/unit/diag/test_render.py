"""Messages as text. Every snapshot is the whole message."""

from lmmdsl.diag.codes.layout import ContextOverflow
from lmmdsl.diag.codes.names import DuplicateName, UnknownMember, UnknownName, UnusedImport
from lmmdsl.diag.codes.shapes import IndexOutOfRange, NotDivisible, OperationRefused, WrongArgument
from lmmdsl.diag.codes.types import RequireFailed
from lmmdsl.diag.codes.weights import CheckpointMismatch
from lmmdsl.diag.render import palette_for, render, render_one, summary
from lmmdsl.diag.sink import Sink
from lmmdsl.dims.expr import Dim
from lmmdsl.text.source import SourceFile, Span
from tests.unit.diag.sources import LIBRARY, SPEC, at, tokens, written


def show(diagnostic):
    return "\n" + render_one(diagnostic) + "\n"


def test_render_near_name_shows_the_edited_line():
    found = UnknownMember(
        at=at(SPEC, "widht"), owner="llm", name="widht", candidates=("width", "depth")
    )
    assert (
        show(found)
        == """
error[E0206]: `llm` has no member `widht`
 --> specs/demo.lmm:4:44
  |
4 |   connector proj: Mlp(in = 1408, out = llm.widht)
  |                                            ^^^^^
  |
help: did you mean `width`?
  |
4 |   connector proj: Mlp(in = 1408, out = llm.width)
"""
    )


def test_render_in_library_points_at_the_users_line_first():
    sink = Sink(lambda file: file.name.startswith("std/"))
    part = at(SPEC, "Mlp(in = 1408, out = llm.widht)")
    with sink.tracing(part, "while instantiating `proj` here"):
        sink.add(
            OperationRefused(
                at=at(LIBRARY, "linear(x, weight)"),
                operation="linear",
                problem="axis `i` of `weight` is 1408, not 1024",
                sizes=(written("1024"), written("1408")),
                bound={"*b": "[B, 576]", "i": "1024"},
            )
        )
    assert (
        show(sink.diagnostics[0])
        == """
error[E0401]: `linear`: axis `i` of `weight` is 1408, not 1024
 --> specs/demo.lmm:4:19
  |
3 |   encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  |                               ---- 1024 comes from here
4 |   connector proj: Mlp(in = 1408, out = llm.widht)
  |                   ^^^^^^^^^----^^^^^^^^^^^^^^^^^^
  |                   |        |
  |                   |        1408 comes from here
  |                   while instantiating `proj` here
 ::: std/lib.lmm:3:46
  |
3 |   forward(x: [*b, in]) -> [*b, out] { return linear(x, weight) }
  |                                              ----------------- `linear` is applied here
  |
  = note: bound so far: *b = [B, 576], i = 1024
"""
    )


def test_render_derived_size_shows_the_chain():
    found = IndexOutOfRange(
        at=at(SPEC, "<image = visual>"), what="rows", index=600, length=576, why=tokens()
    )
    assert (
        show(found)
        == """
error[E0404]: index 600 is outside `rows`, which has 576 entries
 --> specs/demo.lmm:5:17
  |
3 |   encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  |                                                  ---               -- 14 comes from here
  |                                                  |
  |                                                  336 comes from here
5 |   layout chat { <image = visual> }
  |                 ^^^^^^^^^^^^^^^^
  |
  = note: derived: 336 // 14 = 24, 24 * 24 = 576
help: indices run from -576 to 575
"""
    )


def test_render_two_numbers_that_should_be_one_offers_the_reference():
    found = WrongArgument(
        at=at(SPEC, "proj"),
        callee="proj",
        argument="x",
        declared="[*b, 1408]",
        found="[I, 576, 1024]",
        sizes=(written("1408"), written("1024")),
    )
    assert (
        show(found)
        == """
error[E0405]: `proj` takes `x: [*b, 1408]`, but gets [I, 576, 1024]
 --> specs/demo.lmm:4:13
  |
3 |   encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  |                               ---- 1024 comes from here
4 |   connector proj: Mlp(in = 1408, out = llm.widht)
  |             ^^^^           ---- 1408 comes from here
  |             |
  |             this is [I, 576, 1024]
  |
help: take the number from `vision`
  |
4 |   connector proj: Mlp(in = vision.width, out = llm.widht)
"""
    )


def test_render_remainder_names_near_multiples():
    found = NotDivisible(
        at=at(SPEC, "336"), what="`image_size`", number=written("336"), divisor=Dim.of(16 + 2)
    )
    assert (
        show(found)
        == """
error[E0403]: `image_size` 336 is not a multiple of 18
 --> specs/demo.lmm:3:50
  |
3 |   encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  |                                                  ^^^ 336 = 18 * 18 + 12
  |
help: the nearest multiples of 18: 324 or 342; divisors of 336: 16 or 21
"""
    )


def test_render_two_labels_on_one_line_hang_below():
    found = DuplicateName(at=at(SPEC, "proj"), name="proj", first=at(SPEC, "connector"))
    assert (
        show(found)
        == """
error[E0202]: `proj` is defined twice
 --> specs/demo.lmm:4:13
  |
4 |   connector proj: Mlp(in = 1408, out = llm.widht)
  |   --------- ^^^^ second definition
  |   |
  |   first definition
"""
    )


def test_render_requirement_shows_values_and_origins():
    found = RequireFailed(
        at=at(SPEC, "Vit(width = 1024, image_size = 336, patch_size = 14)"),
        requirement="width % 3 == 0",
        reason="3 must divide width",
        declared=at(LIBRARY, "weight"),
        values=(("width", written("1024")),),
    )
    assert (
        show(found)
        == """
error[E0304]: 3 must divide width: width = 1024
 --> specs/demo.lmm:3:19
  |
3 |   encoder vision: Vit(width = 1024, image_size = 336, patch_size = 14)
  |                   ^^^^^^^^^^^^----^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |                               |
  |                               1024 comes from here
 ::: std/lib.lmm:2:3
  |
2 |   weight: param [out, in]
  |   ------ required here
"""
    )


def test_render_without_place_lists_facts():
    found = CheckpointMismatch(
        file="a.safetensors",
        missing=("proj.up.weight",),
        misshapen=(("proj.down.weight", "[3, 4]", "[4, 3]"),),
        near=(("proj.up.weight", "proj.linear_1.weight"),),
    )
    assert (
        show(found)
        == """
error[E0706]: `a.safetensors` does not fit the model: 1 missing, 1 of another shape
  = note: missing:
            proj.up.weight
  = note: of another shape:
            proj.down.weight is [4, 3], not [3, 4]
help: these may be the same tensors:
  proj.up.weight <- proj.linear_1.weight
"""
    )


def test_render_context_overflow_shows_the_sum():
    found = ContextOverflow(
        at=at(SPEC, "<image = visual>"),
        parts=(("tokens of `<image>`", 576), ("tokens of text", 7)),
        needed=583,
        context=Dim.of(512),
    )
    assert (
        show(found)
        == """
error[E0503]: the layout needs at least 583 tokens, but the context holds 512
 --> specs/demo.lmm:5:17
  |
5 |   layout chat { <image = visual> }
  |                 ^^^^^^^^^^^^^^^^
  |
  = note: 576 tokens of `<image>` + 7 tokens of text = 583
help: use fewer images, a connector with fewer tokens, or a longer context
"""
    )


def test_render_wide_characters_and_tabs_keep_the_caret_in_place():
    file = SourceFile("a.lmm", '\tsource "日本語" wrogn\n')
    assert (
        show(UnknownName(at=at(file, "wrogn"), name="wrogn"))
        == """
error[E0201]: nothing is called `wrogn` here
 --> a.lmm:1:15
  |
1 |     source "日本語" wrogn
  |                     ^^^^^
"""
    )


def test_render_control_characters_are_not_obeyed():
    file = SourceFile("a\x1b[2J.lmm", "x = \x1b[31m\u202ered\n")
    text = render_one(UnknownName(at=at(file, "red"), name="red\x1b[0m"))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_render_long_line_shows_the_neighbourhood():
    file = SourceFile("a.lmm", "x" * 5000 + " wrong " + "y" * 5000)
    text = render_one(UnknownName(at=at(file, "wrong"), name="wrong"))
    source, marks = text.splitlines()[3:5]
    assert len(source) < 200
    assert marks.index("^") == source.index("wrong")


def test_render_span_over_lines_marks_the_first():
    file = SourceFile("a.lmm", "layout {\n  a\n}\n")
    text = render_one(UnknownName(at=Span(file, 0, len(file.text)), name="layout"))
    assert text.splitlines()[-1] == "  | ^^^^^^^^"


def test_render_end_of_file_has_a_caret():
    file = SourceFile("a.lmm", "")
    text = render_one(UnusedImport(at=Span(file, 0, 0), name="x"))
    assert text.splitlines()[-2:] == ["1 |", "  | ^"]


def test_render_colour_only_when_asked():
    found = UnusedImport(at=at(SPEC, "Mlp"), name="Mlp")
    coloured = render((found,), palette=palette_for(is_terminal=True))
    assert "\x1b[1;33mwarning[W0211]" in coloured
    assert "\x1b" not in render((found,))


def test_render_several_ends_with_the_count():
    found = (
        UnusedImport(at=at(SPEC, "Mlp"), name="Mlp"),
        UnknownName(at=at(SPEC, "Vit"), name="Vit"),
        UnknownName(at=at(SPEC, "llm"), name="llm"),
    )
    assert summary(found) == "2 errors, 1 warning"
    assert render(found).endswith("\n\n2 errors, 1 warning\n")
    assert render(()) == ""
