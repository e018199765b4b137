"""Weight maps: composing the lines of blocks along the tree."""

from lmmdsl.diag.sink import Sink
from lmmdsl.weights.map import Rows, Source, check_maps, map_program
from tests.support.programs import written
from tests.weights.trees import (
    PACKED,
    definition,
    layer,
    linear,
    param,
    part,
    program,
    rule,
    stack,
    tower,
)


def compose(full, *rules, scheme="hf"):
    sink = Sink()
    found = map_program(program(full, *rules, scheme=scheme or "hf"), scheme, sink)
    return found, [str(d.code) for d in sink.diagnostics], sink.diagnostics


def names(full, *rules, scheme="hf"):
    found, codes, problems = compose(full, *rules, scheme=scheme)
    assert not codes, problems
    return {path: "|".join(source.names) for path, source in found.sources.items()}


HF = (rule("layers", "encoder.layers"), rule("token", "embeddings.class_embedding"))


def test_prefixes_compose_down_to_the_parameters():
    found = names(
        definition("M", part("vision", tower(hf=HF))), rule("vision", "vision_tower.vision_model")
    )

    head = "vision_tower.vision_model"
    assert found["vision.token"] == f"{head}.embeddings.class_embedding"
    assert found["vision.layers.1.q.bias"] == f"{head}.encoder.layers.1.self_attn.q_proj.bias"


def test_a_part_without_a_line_keeps_its_name():
    found = names(definition("M", part("vision", tower(hf=HF)), part("proj", linear(4, 2))))

    assert found["proj.weight"] == "proj.weight"
    assert found["vision.layers.0.k.weight"] == "vision.encoder.layers.0.k.weight"


def test_without_a_scheme_names_are_paths():
    full = definition("M", part("vision", tower(hf=HF)))

    assert all(path == name for path, name in names(full, scheme=None).items())


def test_alternatives_multiply_and_the_first_comes_first():
    full = definition("M", part("vision", tower(hf=(rule("token", "cls", "class"),))))

    found = names(full, rule("vision", "a.vision_model", "a"))

    assert found["vision.token"] == "a.vision_model.cls|a.vision_model.class|a.cls|a.class"


def test_an_empty_name_adds_nothing():
    full = definition("M", part("llm", definition("L", stack("layers", layer(), 1))))

    assert names(full, rule("llm", ""))["llm.layers.0.q.bias"] == "layers.0.q.bias"
    assert names(full, rule("llm", ""), rule("llm.layers", ""))["llm.layers.0.q.bias"] == "0.q.bias"


def test_the_line_nearest_the_root_and_the_longest_wins():
    full = definition("M", part("vision", tower(hf=HF)))

    found = names(
        full,
        rule("vision", "v"),
        rule("vision.layers.q.weight", "blocks.{i}.Q"),
        rule("vision.token", "t"),
    )

    assert found["vision.layers.1.q.weight"] == "blocks.1.Q"
    assert found["vision.layers.1.q.bias"] == "v.encoder.layers.1.self_attn.q_proj.bias"
    assert found["vision.token"] == "t"


def test_layer_numbers_can_stand_inside_a_name_and_be_shifted():
    full = definition("M", stack("layers", layer(), 2))

    found = names(full, rule("layers", "h.{i}.block"), rule("layers.k", "h.{i+1}.norm"))

    assert found["layers.1.q.bias"] == "h.1.block.q.bias"
    assert found["layers.1.k.bias"] == "h.2.norm.bias"


def test_a_part_may_follow_another_scheme():
    full = definition("M", part("vision", tower(hf=HF)))

    found = names(full, rule("vision", "v", scheme="hf"), scheme="mine")

    assert found["vision.layers.0.q.bias"] == "v.encoder.layers.0.self_attn.q_proj.bias"


def test_packed_rows_are_counted_in_the_order_of_the_line():
    full = definition("M", part("layer", layer(packed=PACKED)))

    found, codes, _ = compose(full, scheme="packed")

    assert not codes
    assert found.sources["layer.k.weight"] == Source(
        ("layer.attn.in_proj_weight",), (12, 4), Rows(4, 4)
    )
    assert found.sources["layer.v.bias"] == Source(("layer.attn.in_proj_bias",), (12,), Rows(8, 4))
    assert found.sources["layer.out.bias"].rows is None


def test_whole_parts_can_be_packed_transposed_and_interleaved():
    attn = definition(
        "A", part("q", linear(6, 8)), part("k", linear(6, 4)), part("v", linear(6, 4))
    )

    found, codes, _ = compose(
        definition("M", part("attn", attn)),
        rule("attn.q attn.k attn.v", "wqkv", groups=2, transposed=True),
    )

    assert not codes
    assert found.sources["attn.k.weight"] == Source(("wqkv.weight",), (6, 16), Rows(4, 2, 2), True)
    assert found.sources["attn.k.bias"] == Source(("wqkv.bias",), (16,), Rows(4, 2, 2))


def test_only_an_axis_of_size_1_can_be_squeezed():
    full = definition("M", part("a", definition("A", param("table", 2, 5))))

    _, codes, problems = compose(full, rule("a.table", "words", squeezed=True))

    assert codes == ["E0709"]
    assert "its first axis is not 1" in problems[0].message()


def test_a_line_without_parts_ignores_names_below_its_owner():
    block = layer(hf=(rule("", "rotary_emb.inv_freq"),))
    full = definition("M", part("llm", definition("L", stack("layers", block, 2))))

    found, _, _ = compose(full, rule("llm", "lm"), rule("", "*.position_ids"))

    assert found.ignored == (
        "*.position_ids",
        "lm.layers.0.rotary_emb.inv_freq",
        "lm.layers.1.rotary_emb.inv_freq",
    )


def test_a_block_that_names_other_schemes_only_is_a_gap():
    _, codes, problems = compose(definition("M", part("vision", tower(other=HF))))

    assert codes == ["E0703"]
    assert "`hf` names 0 of 17 parameters" in problems[0].message()


def test_two_parameters_cannot_have_one_name():
    full = definition("M", part("a", linear(4, 4)), part("b", linear(4, 4)))

    _, codes, problems = compose(full, rule("a", "x"), rule("b", "x"))

    assert codes == ["E0704", "E0704"]
    assert problems[0].paths == ("a.weight", "b.weight")


def test_one_parameter_may_fall_back_on_the_tensor_of_another():
    full = definition("M", param("embed", 5, 4), param("head", 5, 4))

    found = names(full, rule("head", "lm_head", "embed"))

    assert found["head"] == "lm_head|embed"


def test_a_line_for_a_part_that_this_binding_lacks_is_idle():
    full = definition("M", part("a", linear(4, 4)))

    found = names(full, rule("norm", "x"), rule("a.scale", "y"), rule("a", "z"))

    assert set(found.values()) == {"z.weight", "z.bias"}


def test_lines_are_checked():
    full = definition("M", part("a", linear(4, 4)), part("b", linear(4, 3)), stack("s", layer(), 2))
    wrong = {
        "E0709": [
            rule("a.weight b.bias", "x"),
            rule("s.q", "x"),
            rule("a b", "x", groups=2),
        ],
    }
    for code, rules in wrong.items():
        for line in rules:
            assert set(compose(full, line)[1]) == {code}, line
    assert compose(full, rule("a", "x"), rule("a", "y"))[1] == ["E0709"]
    assert compose(full, scheme="hff")[1] == []
    unknown = rule("v", "v", scheme="hff")
    assert compose(definition("M", part("v", tower(hf=HF))), unknown)[1] == ["E0702"]


def test_an_unknown_scheme_is_refused():
    sink = Sink()

    map_program(program(definition("M", part("a", linear(1, 1)))), "hff", sink)

    assert [d.code for d in sink.diagnostics] == ["E0702"]


def test_checking_looks_at_one_layer_of_each_kind_and_reports_all():
    def check(full, *rules):
        sink = Sink()
        check_maps(program(full, *rules), sink)
        return sink.diagnostics

    assert not check(definition("M", part("vision", tower(80, hf=HF))))

    (gap,) = check(definition("M", part("vision", tower(80, other=HF))))
    assert "`hf` names 0 of 641 parameters" in gap.message()


def test_what_a_wrapper_calls_the_part_inside_comes_behind_the_name_of_the_whole():
    found = map_program(
        written(
            """
            from std.llm.llama import Llama
            from std.lora      import Lora

            model Adapted {
              llm llm: Llama(width = 8, depth = 2, heads = 2, mlp_width = 12, vocab = 20, context = 16)
              inject Lora(rank = 2) around llm.layers[*].attn.q
              weights hf "someone/adapted" { llm = "base_model" }
            }
            """
        ),
        "hf",
        Sink(),
    ).sources
    q = "base_model.model.layers.1.self_attn.q_proj"

    assert found["llm.layers.1.attn.q.inner.weight"].names[:2] == (
        f"{q}.weight",
        f"{q}.base_layer.weight",
    )
    assert found["llm.layers.1.attn.q.down"].names[0] == f"{q}.lora_A.weight"
    assert found["llm.layers.1.attn.k.weight"].names[0] == q.replace("q_proj", "k_proj.weight")
