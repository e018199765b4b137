"""Random models compute the same in the emitted PyTorch module and, in every profile, in ONNX Runtime."""

import numpy as np
import onnxruntime
import pytest
import torch

from lmmdsl.backends.onnx.export import build_model
from lmmdsl.backends.torch.module import build_module
from lmmdsl.driver.session import Request, check_text
from lmmdsl.fmt import format_source
from tests.fmt.trees import tree
from tests.fuzz.blocks import model

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
SEEDS = 24
PROFILES = ("std", "ort", "base")


def program(text):
    """A generated model, checked; unused imports are all that may be said about it."""
    checked = check_text(text, Request(path="random.lmm"))
    assert {d.code for d in checked.diagnostics} <= {"W0211"}, "\n".join(
        map(str, checked.diagnostics)
    )
    return checked.program


def randomised(net, seed):
    """The module with small random weights."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=draw) * 0.4)
    return net.eval()


def session(onnx_model):
    """ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        onnx_model.SerializeToString(), options, ["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_random_model_computes_the_same_in_pytorch_and_onnx(seed):
    torch.set_num_threads(1)
    found = program(model(seed))
    net = randomised(build_module(found), seed)
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    width = int(str(found.root.methods["run"].nodes[0].types[0].shape[-1]))
    runs = {p: session(build_model(found.root, "run", profile=p, arrays=arrays)) for p in PROFILES}
    for batch, tokens in ((2, 5), (1, 3)):
        x = torch.randn(batch, tokens, width, generator=torch.Generator().manual_seed(seed)) * 0.5
        with torch.no_grad():
            wanted = net.run(x).numpy()
        for profile, run in runs.items():
            (got,) = run.run(None, {"x": x.numpy()})
            np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-4, err_msg=profile)


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 10))
def test_a_random_model_keeps_its_tree_when_formatted(seed):
    text = model(seed)
    formatted = format_source(text)

    assert tree(formatted) == tree(text)
    assert format_source(formatted) == formatted
