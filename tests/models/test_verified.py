"""Every spec at its tiny size: PyTorch and ONNX Runtime agree, with and without a cache, and generate the same."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import torch

import lmmdsl
from lmmdsl.resources import specs_folder

SPECS = sorted(specs_folder().glob("*.lmm"))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.torch
@pytest.mark.onnx
@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_tiny_spec_computes_the_same_on_both_sides(spec):
    verdict = lmmdsl.verify(spec, variant="tiny")

    assert verdict.answers
    assert [answer.question for answer in verdict.answers if not answer.agrees] == []
