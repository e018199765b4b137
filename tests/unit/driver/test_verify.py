"""PyTorch against ONNX Runtime."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import torch

import lmmdsl
from lmmdsl.cli.main import run
from lmmdsl.ops.base import OPS
from lmmdsl.resources import specs_folder

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
SPEC = str(specs_folder() / "llava_v1_5.lmm")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def wrong_silu(monkeypatch):
    """An operation whose ONNX form is wrong by a tenth."""
    right = OPS["silu"].onnx

    def wrong(self, g, *args):
        return g.op("Mul", right(self, g, *args), g.const(1.1, g.inputs[0].dtype))

    monkeypatch.setattr(OPS["silu"], "onnx", wrong)


@pytest.mark.parametrize("profile", ["std", "ort", "base"])
def test_both_sides_agree(profile):
    verdict = lmmdsl.verify(SPEC, variant="tiny", profile=profile)

    assert [answer.question for answer in verdict.answers if not answer.agrees] == []
    assert len(verdict.answers) == 22


def test_wrong_operation_is_found_and_placed(wrong_silu):
    verdict = lmmdsl.verify(SPEC, variant="tiny")
    first = {
        answer.question.split(",")[0]: answer.first
        for answer in verdict.answers
        if not answer.agrees
    }

    assert not verdict.agrees
    assert first["decode"] == "llm.layers.0.mlp.down"
    assert "encode" not in first


def test_what_stands_behind_a_zero_is_compared(wrong_silu, tmp_path):
    file = tmp_path / "gated.lmm"
    file.write_text(
        """
        block Gated(width) {
          gain: param [width] = zeros

          forward(x: [B, width]) -> [B, width] {
            return x + silu(x) * gain
          }
        }

        model Small {
          gated: Gated(6)

          flow run(x: [B, 6]) -> [B, 6] { return gated(x) }
        }
        """
    )

    assert not lmmdsl.verify(file).agrees


def test_command_says_so_with_its_exit_code(wrong_silu, capsys):
    code = run(["verify", SPEC, "--variant", "tiny", "--format", "json"])
    answers = json.loads(capsys.readouterr().out)["answers"]

    assert code == 1
    assert any(not answer["agrees"] for answer in answers)


def test_command_refuses_a_model_that_is_too_large(capsys):
    assert run(["verify", SPEC]) == 2
    assert "--variant tiny" in capsys.readouterr().err
