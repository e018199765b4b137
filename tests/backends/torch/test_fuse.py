import torch

import lmmdsl
from lmmdsl.backends.torch.weights import locate, value_at
from lmmdsl.graph.ir import distinct
from lmmdsl.passes.fuse import fuse, fuse_program, packed_paths
from tests.backends.torch.conftest import SPECS

IDS = torch.tensor([[1, *[127] * 16, 5, 6]])


def copy_weights(source, target):
    """Copy the weights of a module into one whose layers are fused."""
    values = dict(source.named_parameters())
    with torch.no_grad():
        for path, place in locate(target).items():
            value_at(target, place).copy_(values[path])


def test_fused_model_gives_the_same(program, build, net):
    fused = build(program, level=1)
    copy_weights(net, fused)
    images = torch.randn(1, 3, 28, 28)

    with torch.no_grad():
        torch.testing.assert_close(fused(IDS, images), net(IDS, images), atol=1e-5, rtol=1e-5)


def test_fused_parameters_tell_what_they_pack(program):
    packed = packed_paths(fuse_program(program).root)

    assert packed["llm.layers.1.attn.qkv.weight"] == tuple(
        f"llm.layers.1.attn.{name}.weight" for name in "qkv"
    )
    assert packed["vision.layers.0.attn.qkv.bias"] == tuple(
        f"vision.layers.0.attn.{name}.bias" for name in "qkv"
    )
    assert "llm.layers.0.mlp.gate_up.weight" in packed


def test_fusing_keeps_every_parameter(program):
    fused = fuse_program(program).root
    packed = packed_paths(fused)

    paths = [path for own, _ in fused.params() for path in packed.get(own, (own,))]

    assert sorted(paths) == sorted(path for path, _ in program.root.params())


def test_fusing_costs_what_is_distinct(program):
    full = lmmdsl.load(SPECS / "llava_v1_5.lmm").program

    assert len(distinct(fuse(full.root))) == len(distinct(fuse(program.root)))


def test_parts_that_must_stay_apart_do(program):
    fused = fuse(program.root, apart=["llm.layers.0.attn.q"])

    names = {path.split(".")[-2] for path, _ in fused.params()}
    assert {"q", "kv", "gate_up"} <= names


def test_weights_that_others_read_stay_apart(compile_text):
    root = compile_text("""
from std.nn import Linear

block Two(width) {
  a: Linear(width, width, biased = false)
  b: Linear(width, width, biased = false)
  forward(x: [N, width]) -> [N, width] { return a(x) + b(x) }
}

model Reader {
  two: Two(4)
  flow go(x: [N, 4]) -> [N, 4] { return linear(two(x), two.a.weight) }
}
""").root

    assert packed_paths(fuse(root)) == {}
