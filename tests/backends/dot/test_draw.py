"""Pictures: what they show, that they fit, that nothing in a spec breaks out of a label."""

import html
import re
from pathlib import Path

import pytest

from lmmdsl.backends.dot import DrawError, RenderError, draw, graphviz, mermaid, render
from lmmdsl.graph.ir import Stack, distinct
from tests.support.programs import BRANCHES, ENCODER, HOSTILE, TEXT_ONLY, shipped, written

GOLDEN = Path(__file__).parent / "golden"
MODELS = {"encoder": ENCODER, "branches": BRANCHES, "text_only": TEXT_ONLY, "hostile": HOSTILE}
SPECS = [
    (name, variant) for name in ("llava_v1", "llava_v1_5") for variant in ("tiny", "7b", "13b")
]
MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def _texts(dot):
    """What a reader of the picture sees."""
    return [html.unescape(text) for text in re.findall(r">([^<>]+)<", dot) if text.strip()]


def _nodes(dot):
    return re.findall(r'^ *"[^"]+" \[', dot, re.MULTILINE)


def test_model_level_is_the_agreed_text(golden):
    golden(GOLDEN / "model.dot", draw(shipped("llava_v1_5", "7b")))


def test_model_level_in_mermaid_is_the_agreed_text(golden):
    golden(GOLDEN / "model.mmd", mermaid(shipped("llava_v1_5", "7b")))


def test_same_program_gives_the_same_bytes():
    assert draw(shipped("llava_v1_5", "7b")) == draw(shipped.__wrapped__("llava_v1_5", "7b"))


@pytest.mark.parametrize(("name", "variant"), SPECS)
def test_model_level_fits_a_page(name, variant):
    assert 6 <= len(_nodes(draw(shipped(name, variant)))) < 60


def test_model_level_shows_sizes_counts_and_what_is_not_used():
    texts = _texts(draw(shipped("llava_v1_5", "7b")))

    for text in ("577 tokens", "576 tokens", "[I, 576, 4096]", "291 M", "21.0 M", "6.74 B",
                 "23 ×", "32 ×", "last layer: not used", "× 576", "<bos>", "{answer}", "loss",
                 "drop first", "pad square", "who sees whom"):  # fmt: skip
        assert text in texts


def test_several_flows_stand_in_frames_of_their_own():
    dot = draw(shipped("albef"))

    frames = dict(
        re.findall(r'subgraph "cluster_(\w+)" \{(.*?)^  \}', dot, re.DOTALL | re.MULTILINE)
    )
    assert list(frames) == ["itc", "itm", "mlm"]
    assert "text_proj" in frames["itc"]
    assert "fusion" not in frames["itc"]
    assert "cross after layers" in frames["itm"]
    assert "before they meet" in frames["itc"]
    assert "256 x 256" in dot


def test_parameters_that_are_not_used_stand_apart():
    texts = _texts(draw(shipped("minigpt_v1", "7b")))

    assert texts[texts.index("query") + 1] == "24.6 k"


def test_injections_stand_in_the_part_that_they_change():
    texts = _texts(draw(shipped("internlm_xcomposer_vl")))

    assert "Lora around layers[*].{attn.{q, v}, mlp.{up, down}}" in texts


def test_arrows_count_tokens_but_not_scores():
    texts = _texts(draw(shipped("cross_attention")))

    assert texts.count("257 tokens") == 4  # image twice, keys, values
    assert texts.count("32 tokens") == 3  # queries twice, result
    assert texts.count("[B, 32, 257]") == 3
    assert "768 tokens" not in texts
    assert "27.71" in texts


def test_cards_say_when_a_part_is_trained():
    texts = _texts(draw(shipped("mplug_owl")))

    assert texts.count("trained in pretrain") == 2
    assert any(text.startswith("trained in finetune; LoRA in instruct · ") for text in texts)
    assert "frozen" in _texts(draw(shipped("flamingo")))


def test_encoder_and_decoder_of_an_llm_have_a_card_each():
    dot = draw(shipped("blip2_t5"))
    texts = [text.strip() for text in _texts(dot)]

    arrows = re.findall(r'^  "(strip|llm.reader)" -> "(llm|llm.reader)"', dot, re.MULTILINE)
    assert arrows == [("strip", "llm.reader"), ("llm.reader", "llm"), ("strip", "llm")]
    for text in ("llm.encoder", "llm.decoder", "T5EncoderLayer", "T5DecoderLayer", "head",
                 "memory", "[B, N, 2048]", "1.16 B", "1.69 B"):  # fmt: skip
        assert text in texts


def test_two_visual_values_share_the_steps_that_they_begin_with():
    dot = draw(shipped("ferret"))
    texts = [text.strip() for text in _texts(dot)]

    assert texts.count("vision") == 1
    assert texts.count("1 token") == 1
    assert texts.count("576 tokens") == 3  # to the projection, to the sampler, to the sequence
    assert len(re.findall(r' -> "strip":"s', dot)) == 2
    assert "points_of_masks" in shipped("ferret").root.methods  # which goes through no part
    assert "points_of_masks" not in texts


def test_injected_values_say_what_a_token_sees_of_them():
    texts = _texts(draw(shipped("flamingo")))

    assert "a token sees the last <image>" in texts
    assert "last_image int[B, T]" in texts
    assert not any(text.startswith("visual [") for text in texts)


def test_stage_colours_parts_and_has_a_legend():
    program = shipped("llava_v1_5", "7b")

    texts = _texts(draw(program, stage="pretrain"))

    assert texts.count("frozen") == 2
    assert texts.count("trained") == 1
    assert "stage pretrain trains 21.0 M of 7.05 B parameters (0.30 %)" in texts


def test_stage_with_lora_says_so():
    assert "+ LoRA 640" in _texts(draw(written(HOSTILE), stage="tune"))


def test_layout_can_be_chosen():
    texts = _texts(draw(shipped("llava_v1", "7b"), layout="caption"))

    assert "{caption}" in texts
    assert "{answer}" not in texts


def test_part_level_opens_stacks_once():
    dot = draw(shipped("llava_v1_5", "13b"), level="part", part="vision")

    assert dot.count("subgraph") == 1
    assert "23 × PreNormLayer" in _texts(dot)


def test_part_level_keeps_what_is_very_long_closed():
    dot = draw(shipped("flamingo"), level="part", part="vision")
    texts = {text.strip() for text in _texts(dot)}

    assert {"stages.0", "blocks.6", "stages.2"} <= texts
    assert "blocks.7" not in texts


def test_block_level_shows_every_operation():
    program = shipped("llava_v1_5", "7b")
    graph = (
        program.root.parts["llm"].definition.parts["layers"].definitions[0].parts["attn"].definition
    )

    dot = draw(program, level="block", part="llm.layers.0.attn")

    assert len(_nodes(dot)) == len(graph.methods["forward"].nodes) + 1  # and the result
    assert "key/value cache" in _texts(dot)


@pytest.mark.parametrize("level", ["part", "block"])
def test_every_block_of_a_spec_can_be_drawn(level):
    program = shipped("llava_v1_5", "tiny")

    for definition in distinct(program.root)[:-1]:
        assert len(_nodes(draw(program, level=level, part=definition.block))) >= 3


def test_visibility_of_a_decoder_is_a_triangle_without_padding():
    dot = draw(shipped("llava_v1_5", "7b"), level="visibility")

    # 13 tokens; those of the image are blue: seen by themselves and everything after.
    assert dot.count('BGCOLOR="#93a4b1"') + dot.count('BGCOLOR="#0072b2"') == 13 * 14 // 2
    assert "each sees itself and those before" in _texts(dot)


def test_visibility_of_a_prefix_is_a_square_in_front_of_a_triangle():
    dot = draw(shipped("visualglm_6b"), level="visibility", layout="fill")

    # Two words, the gap and two words see each other; the mark, two words of the answer and the end follow.
    assert dot.count('BGCOLOR="#93a4b1"') == 5 * 5 + 6 + 7 + 8 + 9
    assert "those before <bos> see each other" in _texts(dot)


def test_what_decoding_is_told_stands_at_its_arrow():
    texts = _texts(draw(shipped("visualglm_6b")))

    assert {"position_ids int[B, 2, T]", "prefix int[B]"} <= set(texts)
    assert not {"cumsum", "argmax"} & set(texts)


def test_how_facts_follow_from_ids_is_a_picture_of_its_own():
    texts = _texts(draw(shipped("visualglm_6b"), level="part", part="arrange"))

    assert {"input_ids", "attention_mask", "position_ids", "prefix", "cumsum"} <= set(texts)


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_every_kind_of_model_can_be_drawn(text):
    program = written(text)

    assert len(_nodes(draw(program))) >= 2
    assert "flowchart" in mermaid(program)


@pytest.mark.parametrize(
    ("options", "problem", "candidate"),
    [
        ({"level": "page"}, "no level `page`", "model"),
        ({"level": "part", "part": "visoin"}, "no part or block `visoin`", "vision"),
        ({"level": "part"}, "this level needs a part", "vision"),
        ({"stage": "pretrian"}, "no stage `pretrian`", "pretrain"),
        ({"layout": "chta"}, "no layout `chta`", "chat"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_name_that_does_not_exist_is_refused_with_candidates(options, problem, candidate):
    with pytest.raises(DrawError, match=re.escape(problem)) as caught:
        draw(shipped("llava_v1_5", "tiny"), **options)

    assert candidate in caught.value.candidates


def test_visibility_of_a_model_without_a_layout_is_refused():
    with pytest.raises(DrawError, match="cannot be drawn"):
        draw(written(ENCODER), level="visibility")


def test_mermaid_escapes_what_is_markup():
    text = mermaid(written(HOSTILE))

    assert "</TD>" not in text
    assert not re.search(r'\["[^"]*"[^\]]', text)


@pytest.mark.dot
@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_pictures_can_be_rendered(form):
    pytest.importorskip("pygraphviz")

    assert render(draw(written(HOSTILE)), form).startswith(MAGIC[form])


@pytest.mark.dot
def test_pdf_does_not_hold_the_time_of_its_making():
    pytest.importorskip("pygraphviz")

    dates = re.findall(rb"D:(\d+)", render(draw(written(HOSTILE)), "pdf"))

    assert dates == [b"19700101000000"]


@pytest.mark.dot
def test_hostile_texts_appear_as_they_are():
    pytest.importorskip("pygraphviz")

    svg = html.unescape(render(draw(written(HOSTILE)), "svg").decode())

    assert 'a "quoted" <source> & | ]]> -->' in svg.replace("\xa0", " ")


@pytest.mark.dot
def test_every_arrow_and_box_reaches_the_picture():
    library = pytest.importorskip("pygraphviz")
    program = shipped("llava_v1_5", "7b")

    for options in ({}, {"level": "part", "part": "llm"}, {"level": "block", "part": "vision"}):
        dot = draw(program, **options)
        graph = library.AGraph(string=dot)
        assert graph.number_of_nodes() == len(_nodes(dot))


def test_render_without_graphviz_says_what_to_install(monkeypatch):
    monkeypatch.setattr(graphviz.importlib, "import_module", _fail)
    monkeypatch.setattr(graphviz.shutil, "which", lambda name: None)

    with pytest.raises(RenderError, match="pip install pygraphviz"):
        render("digraph {}", "svg")


def _fail(name):
    raise ImportError(name)


def test_render_to_an_unknown_format_is_refused():
    with pytest.raises(RenderError, match="no picture format `gif`"):
        render("digraph {}", "gif")


def test_stacks_are_never_spelled_out():
    program = shipped("llava_v1_5", "13b")
    layers = program.root.parts["llm"].definition.parts["layers"]

    assert isinstance(layers, Stack)
    assert draw(program, level="part", part="llm").count("LlamaAttention") == 1


def test_what_injections_add_stands_in_the_line_of_its_host():
    texts = _texts(draw(shipped("flamingo")))
    host = texts.index("ChinchillaLayer")

    assert texts[host - 1 : host + 5] == [
        "80 ×", "ChinchillaLayer", "872 M each",
        "12 ×", "xattn before layers[every 7]", "8.36 B · trained in pretrain",
    ]  # fmt: skip
    assert not [text for text in texts if "WithXattn" in text]


def test_layers_without_what_injections_add_have_the_size_of_the_plain_model():
    texts = _texts(draw(shipped("cogvlm")))

    assert texts[texts.index("LlamaLayer") + 1] == "202 M each"  # as in LLaMA-7B
    assert "6.48 B · trained in pretrain, finetune" in texts


def test_parts_of_some_layers_alone_are_named():
    texts = _texts(draw(shipped("blip2")))

    assert texts[texts.index("TwoStreamLayer") + 1 :][:2] == [
        "6 ×",
        "cross, cross_norm in every 2nd",
    ]


def test_a_stage_colours_what_is_trained_inside_a_part():
    dot = draw(shipped("flamingo"), stage="pretrain")
    fills = {
        name: re.findall(r'BGCOLOR="(#\w+)"', dot[: dot.index(f">{name}<")])[-1]
        for name in ("embedding", "xattn before layers[every 7]")
    }

    assert fills["embedding"] != fills["xattn before layers[every 7]"]


def test_visibility_has_a_column_for_each_image_that_layers_look_at():
    dot = draw(shipped("flamingo"), level="visibility")
    rows = [row.count("<TD") for row in re.findall(r"<TR>(.*?)</TR>", dot) if "FIXEDSIZE" in row]

    assert "right: in xattn, the last <image>" in _texts(dot)
    assert set(rows) == {
        1 + 13 + 1 + 2 + 1
    }  # a name, tokens with padding, a gap, two images, a margin


def test_part_level_opens_the_layer_that_has_more_than_others():
    texts = _texts(draw(shipped("blip2"), level="part", part="qformer"))

    assert "12 × TwoStreamLayer" in texts
    assert "cross, cross_norm in every 2nd" in texts
    assert "cross" in {text.strip() for text in texts}


def test_arguments_that_nothing_reads_are_not_drawn():
    texts = _texts(draw(shipped("flamingo"), level="part", part="llm"))

    assert "last_image" in texts
    assert "positions" not in texts


def test_a_part_that_comes_again_is_told_once_and_named_by_its_method():
    texts = _texts(draw(shipped("blip2_stage1")))

    assert texts.count("TwoStreamLayer") == 1
    methods = {"qformer.read", "qformer.match", "qformer.write", "qformer.logits"}
    assert {"qformer", *methods} <= {text.strip() for text in texts}
    assert "the same weights" in texts
