"""What a decoder computes of what stays the same is kept; everything else is left as it is."""

import pytest

from lmmdsl.graph.ir import Call, Once, walk
from lmmdsl.passes.keep import keep, lasting
from tests.support.programs import shipped, written

MODEL = """
from std.attention import merge_heads, split_heads
from std.nn        import Embedding, LayerNorm, Linear

block Look(width) {{
  q:   Linear(width, width)
  k:   Linear(width, width)
  v:   Linear(width, width)

  forward(x: [B, T, width], seen: [B, N, width], keys: bool[B, N]?) -> [B, T, width] {{
    return attend(split_heads(q(x), 2), split_heads(k(seen), 2), split_heads(v(seen), 2), keys = keys) |> merge_heads
  }}
}}

block Layer(width) {{
  norm:  LayerNorm(width)
  own:   Look(width)
  cross: Look(width)

  forward(x: [B, T, width], keys: bool[B, S]?, memory: [B, N, width], memory_keys: bool[B, N]?) -> [B, T, width] {{
    new = split_heads(x, 2)
    x = x + (attend(new, new, new, keys = keys, causal = true, cache = true) |> merge_heads)
    {body}
  }}
}}

block Reader(width, depth, vocab, context) {{
  embedding: Embedding(vocab, width)
  first:     Look(width)
  layers:    depth * Layer(width)

  embed(ids: int[B, T]) -> [B, T, width] {{
    return embedding(ids)
  }}

  read(x: [B, N, width], keys: bool[B, N]?) -> [B, N, width] {{
    return first(x, x, keys)
  }}

  forward(x: [B, T, width], keys: bool[B, S]?, memory: [B, N, width], memory_keys: bool[B, N]?) -> [B, T, width] {{
    return layers(x, keys, memory, memory_keys)
  }}

  logits(x: [B, T, width]) -> [B, T, vocab] {{
    return linear(x, embedding.weight)
  }}
}}

model Small {{
  llm llm: Reader(width = 6, depth = 3, vocab = 11, context = 20)
  layout chat {{ {{question}} -> {{answer: loss}} }}
}}
"""


def kept(body):
    """The model with this line at the end of its layers, and what keeps something in it."""
    root = keep(written(MODEL.format(body=body)).root)
    found = {
        path: [node for graph in item.methods.values() for node in graph.nodes]
        for path, item in walk(root)
    }
    once = {
        path: node
        for path, nodes in found.items()
        for node in nodes
        if isinstance(node.payload, Once)
    }
    return root, once


def test_keys_and_values_of_cross_attention_are_kept():
    root, once = kept("return x + cross(norm(x), memory, memory_keys)")

    assert set(once) == {f"llm.layers.{layer}.cross" for layer in range(3)}
    llm = root.parts["llm"].definition
    layer = llm.parts["layers"].definitions[0]
    cross = layer.parts["cross"].definition
    assert list(cross.methods) == ["prepare", "forward"]
    assert [str(kind) for kind in once["llm.layers.0.cross"].types] == ["[B, 2, N, 3]"] * 2
    called = {n.payload.part for n in cross.methods["prepare"].nodes if isinstance(n.payload, Call)}
    assert called == {"k", "v"}
    called = {n.payload.part for n in cross.methods["forward"].nodes if isinstance(n.payload, Call)}
    assert called == {"q"}


def test_layers_stay_one_definition_and_the_reader_stays_as_it_is():
    root, _ = kept("return x + cross(norm(x), memory, memory_keys)")

    before = written(MODEL.format(body="return x + cross(norm(x), memory, memory_keys)")).root
    llm = root.parts["llm"].definition
    assert len(set(llm.parts["layers"].definitions)) == 1
    assert list(llm.parts["first"].definition.methods) == ["forward"]
    assert [path for path, _ in root.params()] == [path for path, _ in before.params()]


@pytest.mark.parametrize(
    "body",
    [
        "return x + own(x, x)",
        "return x + cross(x, x + mean(memory, axis = 1, keep = true))",  # changes with x
        "return x + cross(x, memory) + cross(x, x)",  # one part for both
        "return x + mean(memory, axis = 1, keep = true)",  # nothing that costs
    ],
)
def test_what_changes_or_costs_nothing_is_not_kept(body):
    assert kept(body)[1] == {}


def test_what_comes_before_is_kept_where_it_is_made():
    _, once = kept("return x + cross(x, norm(memory), memory_keys)")

    assert {path: len(node.types) for path, node in once.items()} == {
        **{f"llm.layers.{layer}": 1 for layer in range(3)},
        **{f"llm.layers.{layer}.cross": 2 for layer in range(3)},
    }


def test_a_call_that_runs_once_as_a_whole_keeps_nothing_inside():
    _, once = kept("return x + mean(own(memory, memory, memory_keys), axis = 1, keep = true)")

    assert set(once) == {f"llm.layers.{layer}" for layer in range(3)}


@pytest.mark.parametrize("name", ["llava_v1_5", "cogvlm", "qwen_vl", "albef"])
def test_models_that_read_tokens_alone_are_left_as_they_are(name):
    root = shipped(name, "tiny").root

    assert not lasting(root)
    assert keep(root) is root


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("flamingo", [f"llm.layers.{layer}.xattn.attn" for layer in (0, 3)]),
        ("blip2_t5", [f"llm.decoder.layers.{layer}.cross" for layer in range(3)]),
    ],
)
def test_shipped_models_keep_what_cross_attention_reads(name, wanted):
    root = keep(shipped(name, "tiny").root)

    assert [path for path, item in walk(root) if "prepare" in item.methods] == wanted
