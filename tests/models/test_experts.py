"""A visual expert computes the tokens of images alone, in PyTorch and in ONNX Runtime."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

import lmmdsl  # noqa: E402
from lmmdsl.backends.torch.runtime import routed  # noqa: E402
from tests.guards.modules import ROOT  # noqa: E402

pytestmark = [pytest.mark.torch]


@pytest.fixture(scope="module")
def spec():
    return lmmdsl.load(ROOT / "specs" / "cogvlm.lmm", variant="tiny")


def test_an_expert_sees_no_token_of_text(spec):
    torch.manual_seed(3)
    net = spec.to_torch().eval()
    seen = {"expert": 0, "base": 0}
    hooks = [
        net.get_submodule(f"llm.layers.1.mlp.{part}").register_forward_hook(
            lambda module, given, result, part=part: seen.__setitem__(
                part, seen[part] + given[0].shape[:-1].numel()
            )
        )
        for part in seen
    ]
    image = [net.IMAGE_ID] * net.IMAGE_TOKENS
    ids = torch.tensor([[1, *image, 7, 8, 9], [1, *image, 5, 6, 7]])
    size = spec.program.root.methods["encode"].nodes[0].types[0].shape[-1].value

    net.generate(ids, torch.randn(2, 3, size, size), max_new_tokens=5, stop_ids=())

    for hook in hooks:
        hook.remove()
    assert sum(seen.values()) == ids.numel() + 2 * 4  # each token once, in one of them
    assert 0 < seen["expert"] <= 2 * len(image)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_routed_tokens_and_gradients_are_those_of_a_choice(share):
    torch.manual_seed(4)
    one, other = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    x, mask = torch.randn(2, 7, 5, requires_grad=True), torch.rand(2, 7) < share
    wanted = torch.where(mask.unsqueeze(-1), one(x), other(x))
    want = torch.autograd.grad(wanted.square().sum(), [x, *one.parameters(), *other.parameters()])

    found = routed(mask, x, one, other)
    got = torch.autograd.grad(found.square().sum(), [x, *one.parameters(), *other.parameters()])

    torch.testing.assert_close(found, wanted)
    for left, right in zip(got, want, strict=True):
        torch.testing.assert_close(left, right)


def test_a_compiled_step_chooses_instead(spec):
    torch.manual_seed(3)
    net = spec.to_torch().eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 8, 7, 6]])
    wanted = net.generate(ids, max_new_tokens=4, stop_ids=())

    net.compile_step(backend="eager")

    assert torch.equal(net.generate(ids, max_new_tokens=4, stop_ids=()), wanted)


@pytest.mark.onnx
def test_onnx_gathers_the_tokens_of_each(spec, tmp_path):
    spec.to_onnx(tmp_path)
    model = onnx.load(tmp_path / "decoder_model_merged.onnx", load_external_data=False)

    bodies = {function.name: [n.op_type for n in function.node] for function in model.functions}
    experts = [body for name, body in bodies.items() if "WithExpert" in name]

    assert experts
    assert all(body.count("Gather") == 2 and "Where" not in body for body in experts)
