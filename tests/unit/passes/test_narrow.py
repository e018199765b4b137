"""Optional arguments go where nobody gives or reads them, and stay everywhere else."""

import pytest

from lmmdsl.graph.ir import walk
from lmmdsl.passes.narrow import narrow
from tests.support.programs import shipped, written

MODEL = """
from std.attention import merge_heads, split_heads

block Look(width) {{
  forward(x: [B, T, width], seen: [B, S, width], keys: bool[B, S]?, gate: [B, T, 1]?) -> [B, T, width] {{
    q = split_heads(x, 2)
    k = split_heads(seen, 2)
    return merge_heads(attend(q, k, k, keys = keys))
  }}
}}

block Layer(width) {{
  look: Look(width)

  forward(x: [B, T, width], seen: [B, S, width], keys: bool[B, S]?, gate: [B, T, 1]?) -> [B, T, width] {{
    {layer}
  }}
}}

block Plain(width) {{
  forward(x: [B, T, width], seen: [B, S, width], keys: bool[B, S]?, gate: [B, T, 1]?) -> [B, T, width] {{
    return x
  }}
}}

model Small {{
  layers: [if k == 0 then Layer(6) else Plain(6) for k in 0..2]

  flow run(x: [B, T, 6], seen: [B, S, 6], keys: bool[B, S], gate: [B, T, 1]) -> [B, T, 6] {{
    return layers(x, seen, {given})
  }}
}}
"""


def taken(layer, given):
    """Arguments of each block, by its name."""
    root = narrow(written(MODEL.format(layer=layer, given=given)).root)
    found = {}
    for _, item in walk(root):
        graph = item.methods.get("forward")
        if graph:
            found[item.block] = [graph.name_of(value) for value in graph.inputs]
    return found


def test_what_is_not_given_goes_all_the_way_down():
    found = taken("return look(x, seen, keys)", given="none")

    assert list(found.values()) == [["x", "seen"]] * 3


def test_what_is_given_and_read_stays_and_layers_of_a_stack_agree():
    found = taken("return look(x, seen, keys)", given="keys")

    assert list(found.values()) == [["x", "seen", "keys"]] * 3


def test_what_is_only_handed_on_goes():
    found = taken("return look(x, seen, keys, gate)", given="keys, gate")

    assert found["Look"] == found["Layer"] == ["x", "seen", "keys"]


def test_what_one_part_is_given_by_another_way_stays_there():
    found = taken("return look(x, seen, keys) + look(x, seen)", given="keys")

    assert found["Look"] == ["x", "seen", "keys"]


def test_the_models_own_methods_keep_their_arguments():
    root = narrow(shipped("flamingo", "tiny").root)
    before = shipped("flamingo", "tiny").root

    for name, graph in before.methods.items():
        assert len(root.methods[name].inputs) == len(graph.inputs)


@pytest.mark.parametrize("name", ["llava_v1_5", "qwen_vl"])
def test_models_that_use_what_they_declare_keep_it(name):
    found = {item.block: item for _, item in walk(narrow(shipped(name, "tiny").root))}
    attention = next(
        item for block, item in found.items() if block in ("LlamaAttention", "QwenAttention")
    )

    assert "keys" in [
        attention.methods["forward"].name_of(v) for v in attention.methods["forward"].inputs
    ]
