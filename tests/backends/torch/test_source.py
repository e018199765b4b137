import ast
import os
import subprocess
import sys

import pytest
import torch

import lmmdsl
from lmmdsl.backends.torch.source import emit_source
from lmmdsl.passes.fuse import fuse_program
from tests.backends.torch.conftest import SPECS

TRAPS = '''"""Traps. A "quoted" word, a \\ backslash, and an end in "quotes" """
from std.nn import Linear

block Renamed(width) {
  """Parts and values whose names mean something to Python."""
  type: Linear(width, width)
  class: Linear(width, width)
  layer: Linear(width, width)

  forward(x: [B, N, width], mask: bool[B, N]?) -> ([B, N, width], [B, N, width]) {
    y = x
    x = type(x) + y
    z = x * y - (x - y) * (x + y)
    x = x - (y - z)
    torch = expand(class(layer(x))[:, 0:1], [B, N, width])
    return x + torch, torch
  }
}

block Add(width) {
  """Two arguments."""
  up: Linear(width, width)

  forward(x: [B, N, width], c: [B, N, width]) -> [B, N, width] {
    return x + up(c)
  }
}

block States(width) {
  """States of a stack, by place."""
  stack: 3 * Add(width)
  first: Renamed(width)

  forward(x: [B, N, width]) -> [B, N, width] {
    left, right = first(x)
    hidden = states(stack, left, right + 1)
    return hidden[0] + hidden[1] + hidden[-1] * 2
  }
}

model Traps {
  part: States(6)
  import: Add(6)

  flow go(x: [B, N, 6]) -> [B, N, 6] {
    return import(part(x), x)
  }
}
'''


def run_ruff(text, *command):
    line = [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "100", "-"]
    return subprocess.run(line, input=text, text=True, capture_output=True, check=False)


@pytest.fixture(params=["tiny", "tiny fused", "full", "full fused"])
def text(request):
    variant = "tiny" if request.param.startswith("tiny") else None
    program = lmmdsl.load(SPECS / "llava_v1_5.lmm", variant=variant).program
    return emit_source(fuse_program(program) if "fused" in request.param else program)


def test_source_is_formatted(text):
    assert run_ruff(text, "format", "--diff").stdout == ""


def test_source_passes_the_linter(text):
    assert run_ruff(text, "check").stdout == "All checks passed!\n"


@pytest.mark.parametrize("spec", sorted(SPECS.glob("*.lmm")), ids=lambda spec: spec.stem)
def test_source_of_every_spec_is_formatted(spec):
    text = emit_source(lmmdsl.load(spec).program)

    assert run_ruff(text, "format", "--diff").stdout == ""


def test_source_is_the_same_each_time(text, program):
    assert emit_source(program) == emit_source(program)


def test_source_stands_alone(text):
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert imported <= {"collections", "typing", "torch"}


def test_source_runs_in_a_fresh_process(program, tmp_path):
    file = tmp_path / "model.py"
    file.write_text(emit_source(program), encoding="utf-8")
    code = (
        "import sys, torch, model; net = model.LLaVA_v1_5()\n"
        "print(net(torch.tensor([[1, 2]])).shape, 'lmmdsl' in sys.modules)"
    )
    line = [sys.executable, "-c", code]

    done = subprocess.run(
        line, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""}, text=True, capture_output=True
    )

    assert done.stdout == "torch.Size([1, 2, 128]) False\n", done.stderr


def test_source_names_spec_variant_and_lines(program):
    text = emit_source(program)

    assert "llava_v1_5.lmm, variant tiny (sha256 " in text
    assert "    std/attention.lmm: B batch, N tokens" in text
    assert "    std/mlp.lmm:" in text


def test_state_dict_names_are_the_paths_of_the_tree(program, net):
    assert set(net.state_dict()) == {path for path, _ in program.root.params()}


def test_unused_layers_are_not_built(program, net):
    assert len(net.vision.layers) == 2
    assert not hasattr(net.vision, "norm_post")


def test_names_that_python_keeps_for_itself_are_changed(compile_text, build):
    program = compile_text(TRAPS)
    text = emit_source(program)
    net = build(program)
    x = torch.randn(2, 5, 6)

    result = net.go(x)

    assert run_ruff(text, "format", "--diff").stdout == ""
    assert "self.type_ = nn.Linear(6, 6)" in text
    assert net.lmm_packed["part.first.class_.weight"] == ("part.first.class.weight",)
    torch.testing.assert_close(result, traps_by_hand(net, x))


def traps_by_hand(net, x0):
    renamed, stack = net.part.first, net.part.stack
    x = renamed.type_(x0) + x0
    z = x * x0 - (x - x0) * (x + x0)
    x = x - (x0 - z)
    right = renamed.class_(renamed.layer_(x))[:, 0:1].expand(2, 5, 6)
    left = x + right
    states = [left]
    for layer in stack:
        states.append(states[-1] + layer.up(right + 1))
    state = states[0] + states[1] + states[-1] * 2
    return state + net.import_.up(x0)


def test_gradients_reach_every_part(net):
    ids = torch.tensor([[1, *[127] * 16, 5]])

    net(ids, torch.randn(1, 3, 28, 28)).sum().backward()

    assert all(parameter.grad is not None for parameter in net.parameters())
