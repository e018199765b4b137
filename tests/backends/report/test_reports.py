"""Reports: what they say, and that every form of them says it."""

import csv
import json
from pathlib import Path

import pytest

from lmmdsl.backends import report
from lmmdsl.backends.report.table import Table, clip
from tests.support.programs import BRANCHES, ENCODER, HOSTILE, TEXT_ONLY, shipped, written

GOLDEN = Path(__file__).parent / "golden"
MODELS = {"encoder": ENCODER, "branches": BRANCHES, "text_only": TEXT_ONLY, "hostile": HOSTILE}
REPORTS = {
    "stats": report.stats,
    "trace": report.trace,
    "tokens": report.tokens,
    "compare": lambda program: report.compare([program, program]),
    "diff": lambda program: report.diff(program, shipped("llava_v1", "tiny")),
}


def test_stats_as_text_is_the_agreed_one(golden):
    golden(GOLDEN / "stats.txt", report.text(report.stats(shipped("llava_v1_5", "7b"))))


def test_trace_of_cross_attention_shows_the_shape_of_every_step():
    lines = report.csv(report.trace(shipped("cross_attention"))).splitlines()

    rows = [row for row in csv.reader(lines) if len(row) == 4][1:]
    assert [tuple(row[:3]) for row in rows] == [
        ("input", "query", "[B, 32, 768]"),
        ("input", "image", "[B, 257, 1024]"),
        ("q: Linear", "asked", "[B, 32, 768]"),
        ("k: Linear", "offered", "[B, 257, 768]"),
        ("v: Linear", "told", "[B, 257, 768]"),
        ("rearrange", "", "[B, 768, 257]"),
        ("matmul", "", "[B, 32, 257]"),
        ("div", "scores", "[B, 32, 257]"),
        ("softmax", "weights", "[B, 32, 257]"),
        ("matmul", "", "[B, 32, 768]"),
    ]


def test_compare_tells_of_models_that_are_flows():
    albef, stage1 = report.compare([shipped("albef"), shipped("blip2_stage1")]).rows

    assert (albef.resolution, albef.tokens_per_image) == ("256 x 256", "257")
    assert albef.entry == "cross after fusion.layers[*].attn (6 times)"
    assert (stage1.resolution, stage1.tokens_per_image) == ("224 x 224", "32")
    assert stage1.entry == "in qformer (match, write)"


def test_compare_shows_titles_and_how_much_of_the_encoder_is_used():
    old, new = report.compare([shipped("llava_v1_5"), shipped("llava_v1_5", "7b")]).rows

    assert old.encoder == "CLIP ViT-L/14-336 (ClipVit, width 1024, depth 23 of 24)"
    assert old.llm == "Vicuna-13B v1.5 (Llama, width 5120, depth 40)"
    assert new.llm == "Vicuna-7B v1.5 (Llama, width 4096, depth 32)"


def test_compare_of_a_model_without_llm_shows_what_stands_for_it():
    (albef,) = report.compare([shipped("albef")]).rows

    assert albef.llm == (
        "none; text: BERT-base, lower half (Bert, width 768, depth 6); "
        "fusion: BERT-base, upper half (BertLayers, width 768, depth 6)"
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (
            "minigpt_v1",
            "LayerNorm, width 1408 -> Q-Former (QFormer, width 768, depth 12)"
            " -> linear projection (Linear)",
        ),
        (
            "ferret",
            "linear projection (Linear); regions:"
            " spatial-aware visual sampler (RegionSampler, width 1024, depth 2)",
        ),
        ("blip2_stage1", "Q-Former (QFormer, width 768, depth 12)"),
        ("albef", "-"),
    ],
)
def test_compare_shows_the_whole_way_from_the_encoder(name, way):
    (row,) = report.compare([shipped(name)]).rows

    assert row.connector == way


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("visualglm_6b", "32"), ("ferret", "576, 1 per <region_fea>"), ("cross_attention", "")],
)
def test_compare_counts_the_tokens_of_each_placeholder(name, tokens):
    (row,) = report.compare([shipped(name)]).rows

    assert row.tokens_per_image == tokens


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("minigpt_v2", "in the input sequence"),
        ("internlm_xcomposer_vl", "in the input sequence"),
        ("mplug_owl", "in the input sequence"),
        (
            "cogvlm",
            "in the input sequence; expert beside llm.layers[*].{attn.{q, k, v, out}, mlp}"
            " on <image> (160 times)",
        ),
    ],
)
def test_compare_names_what_images_go_through_and_not_what_adapts(name, entry):
    (row,) = report.compare([shipped(name)]).rows

    assert row.entry == entry


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("minigpt_v2", ["proj, llm (Lora)", "proj, llm (Lora)", "proj, llm (Lora)"]),
        ("internlm_xcomposer_vl", ["qformer, proj, llm (all but Lora)", "qformer, llm (Lora)"]),
        ("mplug_owl", ["vision, abstractor", "llm (LoRA)", "llm"]),
        ("cogvlm", ["adapter, llm (expert)", "vision, adapter, llm (expert)"]),
        ("flamingo", ["resampler, llm (xattn)"]),
    ],
)
def test_compare_says_what_of_a_part_trains(name, stages):
    (row,) = report.compare([shipped(name)]).rows

    assert [parts for _, parts, _ in row.trained] == stages


def test_compare_of_a_part_trained_otherwise_in_part_says_so():
    program = written(TEXT_ONLY.rstrip("}\n") + "\n  stage some { train llm.layers[0] }\n}\n")

    (row,) = report.compare([program]).rows

    assert [parts for _, parts, _ in row.trained] == ["llm (partly)"]


def test_compare_of_many_models_is_a_list_that_loses_nothing():
    programs = [shipped(name) for name in ("albef", "blip2", "cogvlm", "ferret", "flamingo")]

    text = report.text(report.compare(programs))

    assert max(map(len, text.splitlines())) <= 100
    assert text.splitlines()[2] == "  ALBEF"
    for row in report.compare(programs).tables()[0].rows:
        assert all(" ".join(cell.split()) in " ".join(text.split()) for cell in row)


def test_diff_names_a_changed_title():
    changes = {c.what: (c.left, c.right) for c in _changes()}

    assert changes["llm as"] == ("Vicuna-13B v1.3", "Vicuna-13B v1.5")


def test_compare_as_markdown_is_the_agreed_one(golden):
    programs = [shipped("llava_v1", "13b"), shipped("llava_v1_5", "13b")]

    golden(GOLDEN / "compare.md", report.markdown(report.compare(programs)))


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_every_report_of_every_kind_of_model_can_be_written(text, make):
    made = make(written(text))

    for write in (report.text, report.markdown, report.html, report.csv):
        assert write(made).endswith("\n")
    assert json.loads(json.dumps(report.plain(made))) == report.plain(made)


def test_stats_states_the_length_it_was_asked_for():
    stats = report.stats(shipped("llava_v1_5", "7b"), length=100)

    assert [work.sizes for work in stats.work if work.component == "decode"] == [
        "B = 1, T = 100, S = 100"
    ]


def test_stats_of_unknown_sizes_says_which_are_missing():
    program = written(
        ENCODER.replace("[B, 3, 28, 28]", "[Q, 3, 28, 28]").replace("[B, 17, 32]", "[Q, 17, 32]")
    )

    (work,) = report.stats(program).work

    assert (work.operations, work.missing) == (None, ("Q",))
    assert "needs Q" in report.text(report.stats(program))


def test_trace_gives_every_value_its_shape_in_outer_symbols():
    encode = report.trace(shipped("llava_v1_5", "7b")).components[0]

    rows = {(step.depth, step.what, step.name): step.shape for step in encode.steps}

    assert rows[1, "23 x layers: PreNormLayer", ""] == "[I, 577, 1024]"
    assert rows[3, "rearrange", "queries"] == "[I, 16, 577, 64]"
    assert rows[0, "proj: Mlp", "visual"] == "[I, 576, 4096]"


def test_trace_points_at_the_line_of_each_value():
    encode = report.trace(shipped("llava_v1_5", "7b"), depth=0).components[0]

    *_, last = encode.steps

    program = shipped("llava_v1_5", "7b")
    number = int(last.line.rpartition(":")[2])
    assert program.file.line(number).strip().startswith("visual =")


def test_trace_does_not_grow_with_depth():
    small, large = (report.trace(shipped("llava_v1_5", name)) for name in ("tiny", "13b"))

    assert [len(c.steps) for c in small.components] == [len(c.steps) for c in large.components]


def test_tokens_derives_the_count_of_an_image():
    (layout,) = report.tokens(shipped("llava_v1_5", "7b")).layouts
    image = next(segment for segment in layout.segments if segment.kind == "image")

    steps = " ; ".join(reason.text for reason in image.why)

    assert image.tokens == "576"
    assert "image_size = 336" in steps
    assert "577 - 1 = 576 by `x[:, 1:]`" in steps


def test_tokens_marks_loss_limits_and_repeats():
    text = report.text(report.tokens(written(HOSTILE)))

    assert "per image, repeats" in text
    assert "<= 12" in text
    assert "loss" in text


def test_compare_lines_up_models():
    old, new = report.compare([shipped("llava_v1", "13b"), shipped("llava_v1_5", "13b")]).rows

    assert (old.tokens_per_image, new.tokens_per_image) == ("256", "576")
    assert (old.resolution, new.resolution) == ("224 x 224", "336 x 336")
    assert dict(new.parameters)["proj"] == 31_467_520
    assert new.trained == (
        ("pretrain", "proj", 31_467_520),
        ("finetune", "proj, llm", 13_047_331_840),
    )


def test_diff_of_a_model_with_itself_is_empty():
    program = shipped("llava_v1_5", "7b")

    assert report.diff(program, program).changes == ()


def test_diff_names_a_changed_part_without_its_inside():
    changes = {c.what: (c.left, c.right) for c in _changes()}

    assert changes["proj"] == ("connector Linear", "connector Mlp")
    assert changes["vision(image_size)"] == ("224", "336")
    assert changes["vision.positions"] == ("[257, 1024]", "[577, 1024]")
    assert not [what for what in changes if what.startswith("proj.")]


def _changes():
    return report.diff(shipped("llava_v1", "13b"), shipped("llava_v1_5", "13b")).changes


def test_hostile_texts_stay_inside_their_cells():
    table = Table("<t>", ("a|b", "c"), (("</td><script>", "x|y\n=z"), ("=cmd()", '"quoted"')))

    assert "<script>" not in table.html()
    assert "\\|y =z" in table.markdown()
    assert "'=cmd()" in table.csv()


@pytest.mark.parametrize(("text", "width"), [("short", 10), ("x" * 50, 20), ("x" * 20, 20)])
def test_clip_keeps_to_the_width(text, width):
    assert len(clip(text, width)) == min(len(text), width)


def test_a_wide_table_is_laid_on_its_side():
    table = Table("models", ("model", "a", "b", "c"), (("x", *("y" * 60 for _ in "abc")),))

    assert table.text().splitlines()[1].split() == ["model", "x"]
    assert len(table.text().splitlines()) == 6


def test_cells_of_a_table_on_its_side_are_broken_and_not_clipped():
    table = Table("models", ("model", "a", "b", "c"), (("x", "word " * 40, "y" * 60, "z" * 60),))

    text = table.text()

    assert text.count("word") == 40
    assert max(map(len, text.splitlines())) <= 82


def test_a_wide_table_of_few_columns_stays_upright():
    rows = tuple((f"row {number}", "y" * 70, "z" * 70) for number in range(4))

    assert len(Table("difference", ("what", "a", "b"), rows).text().splitlines()) == 7


def test_stats_as_data_has_the_total_of_each_stage():
    stages = report.plain(report.stats(shipped("llava_v1_5", "7b")))["stages"]

    assert [stage["trained"] for stage in stages] == [20_979_712, 6_759_395_328]
    assert [part["state"] for part in stages[0]["parts"]] == ["frozen", "trained", "frozen"]


def test_compare_counts_images_that_stand_beside_the_text():
    (row,) = report.compare([shipped("open_flamingo")]).rows

    assert row.tokens_per_image == "64 beside the text"
    assert row.entry == "xattn before llm.layers[every 4 from 3] (8 times)"


def test_cross_attention_is_counted_once_per_prompt():
    found = report.stats(shipped("blip2_t5"))

    layers, inner, width, mlp, prompt, seen = 24, 32 * 64, 2048, 5120, 96, 64
    weights = 6 * width * inner + 3 * width * mlp  # without keys and values of the prompt
    scores = 2 * inner * (prompt + seen)
    work = {item.component: item for item in found.work}
    assert work["one more token"].operations == 2 * (layers * (weights + scores) + width * 32128)
    assert work["read"].sizes == f"B = 1, N = {prompt}"
    assert found.kept.operations == layers * 2 * inner * prompt
    assert report.stats(shipped("llava_v1_5")).kept.operations == 0
