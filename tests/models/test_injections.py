"""Injections against the same model without them, changed by PyTorch's own hooks."""

import pytest
import torch

import lmmdsl

MODEL = '''"""A decoder with something injected."""
from std.llm.llama import Llama
from std.nn        import Linear, RmsNorm

block Adapter(base, rank, alpha = rank) {{
  """A linear map and a low-rank change of it."""
  inner: base
  down:  Linear(inner.in, rank, biased = false)
  up:    Linear(rank, inner.out, biased = false)

  forward(x: [*b, inner.in]) -> [*b, inner.out] {{
    return inner(x) + up(down(x)) * (alpha / rank)
  }}
}}

model Injected {{
  llm llm: Llama(
    width = 36, depth = 4, heads = 6, kv_heads = 2, mlp_width = 50, vocab = 61, context = 64
  )

  {injection}
}}
'''


@pytest.fixture
def build(tmp_path):
    """A module with an injection, its parameters random."""

    def make(injection: str = ""):
        file = tmp_path / "model.lmm"
        file.write_text(MODEL.format(injection=injection), encoding="utf-8")
        net = lmmdsl.load(file).to_torch()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        return net.double()

    return make


def bare(path: str) -> str:
    """A parameter's path without the steps from a wrapper to what it wraps."""
    return ".".join(step for step in path.split(".") if step not in ("base", "inner"))


def plain_twin(build, net):
    """The model without the injection, with the same weights."""
    plain = build()
    weights = {bare(path): value for path, value in net.state_dict().items()}
    plain.load_state_dict({path: weights[path] for path in plain.state_dict()})
    return plain


IDS = torch.tensor([[5, 9, 2, 60, 7], [1, 3, 3, 8, 4]])
REAL = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])


def agree(net, plain):
    torch.testing.assert_close(
        net(IDS, attention_mask=REAL), plain(IDS, attention_mask=REAL), rtol=1e-10, atol=1e-10
    )


def test_low_rank_change_around_a_part_is_that_of_its_weight(build):
    net = build("inject Adapter(rank = 3, alpha = 6) around llm.layers[1:3].attn.{q, v}")
    plain = plain_twin(build, net)
    for layer in (1, 2):
        for name in ("q", "v"):
            part = net.get_submodule(f"llm.layers.{layer}.attn.{name}")
            change = 2 * part.up.weight @ part.down.weight
            plain.get_submodule(f"llm.layers.{layer}.attn.{name}").weight.data += change
    agree(net, plain)


def test_body_before_a_layer_changes_what_enters_it(build):
    net = build(
        "inject before llm.layers[every 2 from 1]"
        " { extra: RmsNorm(llm.width)  gain: param [llm.width]  x = x + extra(x) * gain }"
    )
    plain = plain_twin(build, net)
    for layer in (1, 3):
        wrapper = net.get_submodule(f"llm.layers.{layer}")

        def change(_, args, wrapper=wrapper):
            return (args[0] + wrapper.extra(args[0]) * wrapper.gain, *args[1:])

        plain.get_submodule(f"llm.layers.{layer}").register_forward_pre_hook(change)
    agree(net, plain)


def test_block_after_a_part_changes_what_leaves_it(build):
    net = build("inject RmsNorm(llm.width) after llm.layers[*].mlp")
    plain = plain_twin(build, net)
    for wrapper, layer in zip(net.llm.layers, plain.llm.layers, strict=True):
        layer.mlp.register_forward_hook(
            lambda _, args, result, norm=wrapper.mlp.rms_norm: norm(result)
        )
    agree(net, plain)


def test_replaced_part_is_gone(build):
    net = build("inject Linear(llm.width, llm.width) replace llm.norm")
    plain = build()
    plain.llm.norm = torch.nn.Identity()
    plain.load_state_dict(net.state_dict(), strict=False)
    plain.llm.norm = net.llm.norm
    assert net.llm.norm.weight.shape == (36, 36)
    agree(net, plain)


def test_two_injections_at_one_part_wrap_it_in_source_order(build):
    net = build(
        "inject RmsNorm(llm.width) after llm.layers[0].mlp"
        " inject after llm.layers[0].mlp { gain: param [llm.width]  x = x * gain }"
    )
    plain = plain_twin(build, net)
    outer = net.llm.layers[0].mlp
    norm = outer.base.rms_norm
    plain.llm.layers[0].mlp.register_forward_hook(lambda _, args, result: norm(result) * outer.gain)
    agree(net, plain)


def test_layers_without_an_injection_are_one_class(build):
    net = build("inject RmsNorm(llm.width) after llm.layers[1].mlp")
    kinds = [type(layer) for layer in net.llm.layers]
    assert kinds[0] is kinds[2] is kinds[3] is not kinds[1]


READER = """
from std.attention import Attention
from std.text.bert import Bert

model Reader {
  text: Bert(width = 24, depth = 3, heads = 3, mlp_width = 50, vocab = 64, context = 16)

  inject after text.layers[1:].attn (picture: [B, M, 20], real: bool[B, M]?) {
    cross: Attention(text.width, heads = 3, source = 20)
    x = x + cross(x, picture, real)
  }

  flow bare(ids: int[B, T]) -> [B, T, 24] { return text(ids) }

  flow look(picture: [B, K, 20], ids: int[B, T]) -> [B, T, 24] { return text(ids) }

  flow some(pictures: [B, K, 20], mask: bool[B, K], ids: int[B, T]) -> [B, T, 24] {
    picture = pictures * 2.0
    real    = mask
    return text(ids)
  }
}
"""


@pytest.fixture
def reader(tmp_path):
    """A BERT whose upper layers read what a flow gives, and a function that does so by hooks."""
    text = READER.replace("layers[1:]", "layers[1:3]")
    (tmp_path / "model.lmm").write_text(text, encoding="utf-8")
    torch.manual_seed(2)
    net = lmmdsl.load(tmp_path / "model.lmm").to_torch().double().eval()
    plain_text = "\n".join(
        ["from std.text.bert import Bert", *text[text.index("model") :].splitlines()]
    )
    start, stop = plain_text.index("  inject"), plain_text.index("  flow bare")
    only = plain_text[:start] + plain_text[stop : plain_text.index("  flow look")] + "}\n"
    (tmp_path / "plain.lmm").write_text(only, encoding="utf-8")
    plain = lmmdsl.load(tmp_path / "plain.lmm").to_torch().double().eval()
    weights = {bare(path): value for path, value in net.state_dict().items()}
    plain.load_state_dict({path: weights[path] for path in plain.state_dict()})

    def reference(ids, picture, real=None):
        for layer in (1, 2):
            cross = net.get_submodule(f"text.layers.{layer}.attn.cross")
            plain.get_submodule(f"text.layers.{layer}.attn").register_forward_hook(
                lambda _part, _given, x, cross=cross: x + cross(x, picture, real)
            )
        return plain.bare(ids)

    return net, reference


PICTURE = torch.linspace(-2, 2, 2 * 3 * 20, dtype=torch.double).view(2, 3, 20).sin()
MASK = torch.tensor([[True, True, False], [True, True, True]])


def test_a_flow_hands_its_argument_down(reader):
    net, reference = reader

    torch.testing.assert_close(net.look(PICTURE, IDS), reference(IDS, PICTURE))


def test_a_flow_hands_its_values_down_and_those_left_out_are_arguments(reader):
    net, reference = reader
    wanted = reference(IDS, PICTURE * 2, MASK)

    torch.testing.assert_close(net.some(PICTURE, MASK, IDS), wanted)
    torch.testing.assert_close(net.bare(IDS, PICTURE * 2, MASK), wanted)
