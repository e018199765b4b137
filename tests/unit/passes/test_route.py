"""Pairs of parts that share the tokens are found, and nothing that mixes tokens is taken for one."""

import pytest

from lmmdsl.graph.ir import Route, walk
from lmmdsl.passes.keep import keep
from lmmdsl.passes.route import route
from tests.support.programs import shipped, written

MODEL = """
from std.nn import LayerNorm, Linear

block Mixing(width) {{
  forward(x: [B, T, width]) -> [B, T, width] {{
    return x + mean(x, axis = 1, keep = true)
  }}
}}

block Pair(width) {{
  one:   Linear(width, width)
  other: Linear(width, width)
  mixes: Mixing(width)

  forward(x: [B, T, width], mask: bool[B, T], y: [B, T, width]) -> [B, T, width] {{
    {body}
  }}
}}

model Small {{
  pair: Pair(6)

  flow run(x: [B, T, 6], mask: bool[B, T], y: [B, T, 6]) -> [B, T, 6] {{
    return pair(x, mask, y)
  }}
}}
"""


def routes(root):
    return {
        path: node.payload
        for path, item in walk(root)
        for graph in item.methods.values()
        for node in graph.nodes
        if isinstance(node.payload, Route)
    }


def test_two_parts_of_the_same_tokens_are_routed():
    body = 'return where(rearrange(mask, "b t -> b t 1"), one(x), other(x))'
    unsqueezed = "return where(unsqueeze(mask), one(x), other(x))"

    assert routes(route(written(MODEL.format(body=body)).root)) == {}  # any rearrangement might be
    found = routes(route(written(MODEL.format(body=unsqueezed)).root))
    assert [(pair.one.part, pair.other.part) for pair in found.values()] == [("one", "other")]


@pytest.mark.parametrize(
    "body",
    [
        "return where(unsqueeze(mask), one(x), x)",  # a single part
        "return where(unsqueeze(mask), one(x), other(y))",  # of other tokens
        "return where(unsqueeze(mask), one(x), mixes(x))",  # tokens of a row meet
        "seen = one(x)  return where(unsqueeze(mask), seen, other(x)) + seen",  # read twice
    ],
)
def test_other_choices_stay(body):
    root = written(MODEL.format(body=body)).root

    assert route(root) is root


def test_every_matrix_beside_an_expert_is_routed():
    found = routes(route(shipped("cogvlm", "tiny").root))

    layer = {path.rpartition("layers.1.")[2] for path in found if "layers.1." in path}
    assert layer == {"attn.q", "attn.k", "attn.v", "attn.out", "mlp"}


@pytest.mark.parametrize("name", ["llava_v1_5", "flamingo", "internlm_xcomposer_vl"])
def test_models_without_experts_are_left_as_they_are(name):
    root = keep(shipped(name, "tiny").root)

    assert route(root) is root
