"""Pictures on a page: how wide they are, what is folded, which texts are kept."""

import html
import re

import pytest

from lmmdsl.backends.dot import DrawError, draw, render
from tests.support.programs import shipped


def texts_of(dot):
    """What a reader of the picture sees."""
    found = re.findall(r">([^<>]+)<", dot)
    return [html.unescape(text).strip() for text in found if text.strip()]


@pytest.mark.dot
@pytest.mark.parametrize(
    "name",
    ["blip2_t5", "cogvlm", "cogvlm2", "ferret", "fuyu_8b", "internlm_xcomposer_vl", "visualglm_6b"],
)
def test_text_stays_readable_in_a_column_of_print(name):
    pytest.importorskip("pygraphviz")

    svg = render(draw(shipped(name)), "svg").decode()
    width = float(re.findall(r'width="(\d+)pt"', svg)[0])
    smallest = min(float(size) for size in re.findall(r'font-size="([\d.]+)"', svg))

    assert smallest * min(1, 510 / width) > 4.9


def test_a_chain_that_is_too_wide_turns_back_in_the_next_row():
    dot = draw(shipped("internlm_xcomposer_vl"))

    rows = [re.findall(r'"([^"]+)"', row) for row in re.findall("rank=same; (.*?) }", dot)]
    assert rows[0][:2] == ["pixel_values.raw", "pixel_values"]
    assert rows[1] == ["5", "4", "3"]  # the end of the chain stands at the left
    assert re.search(r'"4" -> "3" \[.*dir=back\]', dot)


def test_plain_operations_of_a_long_flow_are_one_box_between_parts():
    dot = draw(shipped("albef_vqa"))

    texts = texts_of(dot)
    assert texts.count("few, said, real") == 1
    assert "slice" not in texts  # but within the list of a run
    assert len(re.findall(r'^ *"choose[^"]*" \[', dot, re.MULTILINE)) == 16


def test_a_few_plain_operations_have_a_box_each():
    texts = texts_of(draw(shipped("cross_attention")))

    assert texts.count("matmul") == 2
    assert "softmax" in texts


def test_a_long_strip_breaks_into_lines_and_keeps_what_is_trained_on():
    texts = texts_of(draw(shipped("visualglm_6b")))

    assert "{answer}" in texts
    assert texts.count("loss") == 1
    assert not any(text.endswith(" more") for text in texts)


def test_points_are_not_tokens_and_one_token_is_one_row():
    texts = texts_of(draw(shipped("ferret")))

    assert "512 tokens" not in texts
    assert "[R, 512, 2]" in texts
    after = texts[texts.index("who sees whom") :]
    rows = after[after.index("<region_fea>") + 1 :]
    assert rows[0] == "{question}"


def test_cards_carry_the_published_names():
    texts = texts_of(draw(shipped("blip2_stage1")))

    assert "EVA-CLIP ViT-g/14" in texts
    assert "Q-Former" in texts


def test_each_method_of_a_part_has_its_matrix():
    dot = draw(shipped("blip2_stage1"), level="visibility")

    texts = texts_of(dot)
    for name in ("qformer", "qformer.read", "qformer.match", "qformer.write"):
        assert name in texts
    found = [grid.count('WIDTH="16"') - grid.count('BGCOLOR="#ffffff"') for grid in _grids(dot)]
    # Four queries and three words: queries alone, words alone, all see all, words see queries and those before.
    assert found == [16, 9, 49, 4 * 7 + 6]


def test_a_part_that_attends_to_nothing_has_no_matrix():
    with pytest.raises(DrawError, match="its layers differ"):
        draw(shipped("visualglm_6b"), level="visibility", part="proj")


def test_visibility_of_an_unknown_part_is_refused():
    with pytest.raises(DrawError, match="no part or block `nothing`") as caught:
        draw(shipped("blip2_stage1"), level="visibility", part="nothing")

    assert "qformer" in caught.value.candidates


def _grids(dot):
    return re.findall(r'^  "(?:qformer[^"]*)" \[.*', dot, re.MULTILINE)


def test_flows_that_are_too_wide_side_by_side_stand_below_each_other():
    two, one = draw(shipped("albef_vqa")), draw(shipped("albef"))

    hidden = r'^  "([^"]+).out" -> "([^"]+).head" \[style=invis\]'
    assert [(a.partition(".")[0], b) for a, b in re.findall(hidden, two, re.MULTILINE)] == [
        ("ask", "rank"), ("ask", "choose"), ("answer", "rank"), ("answer", "choose"),
    ]  # fmt: skip
    assert not re.findall(hidden, one, re.MULTILINE)


def test_fonts_end_in_ones_that_have_the_letters_of_east_asia():
    dot = draw(shipped("visualglm_6b"))

    families = {*re.findall('fontname="([^"]*)"', dot), *re.findall('FACE="([^"]*)"', dot)}
    assert len(families) == 2
    assert all("sans-serif,Noto Sans CJK" in f or "monospace,Noto Sans CJK" in f for f in families)
