import sys
from pathlib import Path

import pytest
import torch

import lmmdsl
from lmmdsl.backends.torch.module import build_module

SPECS = Path(__file__).resolve().parents[3] / "specs"


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def compile_text(tmp_path):
    """A program from the text of a spec."""

    def compile_(text, settings=None):
        file = tmp_path / "spec.lmm"
        file.write_text(text, encoding="utf-8")
        return lmmdsl.load(file, set=settings or {}).program

    return compile_


@pytest.fixture(scope="session")
def program():
    """A whole model, small, with its placeholder inside the vocabulary."""
    return lmmdsl.load(SPECS / "llava_v1_5.lmm", variant="tiny", set={"vocab.image": 127}).program


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Modules with weights drawn at random, the same for the same seed."""

    def build_(model, *, seed=0, **options):
        net = build_module(model, folder=tmp_path_factory.mktemp("modules"), **options)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
        return net.eval()

    yield build_
    for name in [name for name in sys.modules if name.startswith("lmmdsl_emitted.")]:
        del sys.modules[name]


@pytest.fixture
def net(build, program):
    return build(program)
