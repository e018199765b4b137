"""Definitions that differ in sizes alone are one class, whose constructor takes what differs."""

import re

import pytest
import torch

from lmmdsl.backends.torch.module import build_module
from lmmdsl.backends.torch.source import emit_source
from tests.support.programs import shipped, written

MODEL = """
from std.nn import Linear

block Scaled(width, hidden) {{
  {body}
}}

model Small {{
  one:   Scaled(6, 10)
  other: Scaled(8, 14)
  last:  Scaled(6, 10)

  flow run(x: [B, T, 6], y: [B, T, 8]) -> (p: [B, T, 6], q: [B, T, 8]) {{
    return last(one(x)), other(y)
  }}
}}
"""

PLAIN = """
  up:   Linear(width, hidden)
  down: Linear(hidden, width)
  forward(x: [B, T, width]) -> [B, T, width] { return down(up(x)) }
"""
READ = """
  rows: param [width, hidden]
  forward(x: [B, T, width]) -> [B, T, width] {
    return x * width + mean(rows, axis = 1)
  }
"""
UNNAMED = """
  rows: param [width * hidden * hidden + width]
  forward(x: [B, T, width]) -> [B, T, width] { return x + sum(rows, axis = 0) }
"""
SPLIT = """
  rows: param [2, width // 2]
  forward(x: [B, T, width]) -> [B, T, width] {
    return rearrange(rearrange(x, "b t (h d) -> b t h d", h = 2) + rows, "b t h d -> b t (h d)")
  }
"""
BODIES = {"plain": PLAIN, "read": READ, "unnamed": UNNAMED, "split": SPLIT}


def source(body):
    return emit_source(written(MODEL.format(body=body)))


def classes(text):
    return list(re.findall(r"^class (\w+)\(nn.Module\)", text, re.MULTILINE))


def test_sizes_become_arguments():
    text = source(PLAIN)

    assert classes(text)[-2:] == ["Scaled", "Small"]
    assert "def __init__(self, width: int, hidden: int) -> None:" in text
    assert "self.up = nn.Linear(width, hidden)" in text
    assert "self.other = Scaled(8, 14)" in text


def test_sizes_that_methods_read_are_kept():
    text = source(READ)

    assert classes(text)[-2:] == ["Scaled", "Small"]
    assert "self.width = width" in text
    assert "* self.width" in text


@pytest.mark.parametrize("body", [UNNAMED, SPLIT], ids=["unnamed", "split"])
def test_sizes_without_names_or_proof_keep_classes_apart(body):
    assert classes(source(body))[-3:] == ["OneScaled", "OtherScaled", "Small"]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_classes_have_the_sizes_of_their_definitions(body):
    program = written(MODEL.format(body=body))
    net = build_module(program)

    assert {name: tuple(p.shape) for name, p in net.named_parameters()} == {
        path: tuple(size.value for size in param.shape) for path, param in program.root.params()
    }
    p, q = net.run(torch.randn(2, 3, 6), torch.randn(2, 3, 8))
    assert (p.shape, q.shape) == ((2, 3, 6), (2, 3, 8))


def test_layers_with_and_without_an_injection_share_the_layer():
    text = emit_source(shipped("flamingo", "tiny"))

    assert text.count("class ChinchillaLayer(") == 1
    assert "class ChinchillaLayer2(" not in text
    assert "self.base(x, waves, behind, keys, cache=cache)" in text


def test_convolutions_of_all_stages_are_few_classes():
    text = emit_source(shipped("flamingo", "tiny"))

    assert len(re.findall(r"^class StdConv\d*\(", text, re.MULTILINE)) <= 4
