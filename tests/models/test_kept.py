"""Keys and values of cross attention are computed once per prompt, in PyTorch and in ONNX Runtime."""

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402
from tests.guards.modules import ROOT  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
NEW = 5
CROSS = {
    "blip2_t5": "llm.decoder.layers.0.cross",
    "flamingo": "llm.layers.0.xattn.attn",
    "open_flamingo": "llm.layers.1.xattn.attn",
}


@pytest.fixture(scope="module", params=CROSS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def spec(name):
    return lmmdsl.load(ROOT / "specs" / f"{name}.lmm", variant="tiny")


def random_net(spec, *, level=0):
    torch.manual_seed(5)
    net = spec.to_torch(level=level).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return net


@pytest.fixture(scope="module")
def net(spec):
    return random_net(spec)


@pytest.fixture(scope="module")
def prompts(spec, net):
    """Arguments of two prompts with an image each, the first one padded in front."""
    image = [net.TOKENS["image"]] * (1 if net.FEATURES else net.IMAGE_TOKENS)
    ids = torch.tensor([[3, 3, *image, 7, 8, 9], [4, *image, 5, 6, 7, 11]])
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    graph = spec.program.root.methods["encode"]
    size = [axis.value for axis in graph.type_of(graph.inputs[0]).shape[1:]]
    return {"input_ids": ids, "pixel_values": torch.randn(2, *size), "attention_mask": mask}


def generated(net, prompts):
    return net.generate(**prompts, max_new_tokens=NEW, stop_ids=())[:, -NEW:]


def test_torch_computes_them_at_the_first_step_only(name, net, prompts):
    calls = []
    keys = net.get_submodule(f"{CROSS[name]}.k")
    hook = keys.register_forward_hook(lambda *_: calls.append(1))

    made = generated(net, prompts)

    hook.remove()
    assert made.shape == (2, NEW)
    assert len(calls) == 1


def test_fused_layers_generate_the_same(spec, net, prompts, tmp_path):
    lmmdsl.save_weights(net, tmp_path / "weights.safetensors")
    fused = spec.to_torch(level=1).eval()
    lmmdsl.load_weights(fused, tmp_path / "weights.safetensors")

    assert torch.equal(generated(fused, prompts), generated(net, prompts))


def test_a_cache_forgets_what_followed_from_something_else(net, prompts):
    with torch.inference_mode():
        first, second = (net.encode(prompts["pixel_values"] * scale) for scale in (1.0, -2.0))
        cache, fresh = net.make_cache(4), net.make_cache(4)
        read(net, prompts, first, cache)
        cache.rewind()
        found, wanted = (read(net, prompts, second, at) for at in (cache, fresh))

    assert torch.equal(found, wanted)


def read(net, prompts, features, cache):
    """Hidden states of two tokens behind an image, `[2, 2, D]`."""
    embeds = torch.ones(2, 2, net.llm.embedding.weight.shape[1])
    if net.FEATURES:
        facts = {"last_image": torch.tensor([[0, 0], [1, 1]])}
        if "position_ids" in net.facts(prompts["input_ids"], None, 1):
            facts["position_ids"] = torch.tensor([[0, 1], [0, 1]])
        more = {net.FEATURES: features, **facts}
    else:
        more = {"encoder_hidden_states": features}
    return net.decode(embeds, attention_mask=None, cache=cache, **more)


@pytest.fixture(scope="module")
def package(spec, net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    lmmdsl.save_weights(net, folder / "weights.safetensors")
    spec.to_onnx(folder / "package", weights=folder / "weights.safetensors")
    return Package(folder / "package")


def test_onnx_steps_have_no_weights_of_them(name, package):
    weights = {
        part: {item.name for item in graph(package, part).initializer}
        for part in ("decoder_memory", "decoder_model_merged")
    }

    assert f"{CROSS[name]}.k.weight" in weights["decoder_memory"]
    assert f"{CROSS[name]}.k.weight" not in weights["decoder_model_merged"]
    assert f"{CROSS[name]}.q.weight" in weights["decoder_model_merged"]


def test_onnx_steps_take_what_the_memory_gives(package):
    given = {item.name for item in graph(package, "decoder_memory").output}
    taken = {item.name for item in graph(package, "decoder_model_merged").input}

    assert given
    assert given <= taken
    assert "encoder_hidden_states" not in taken


def test_onnx_generates_what_torch_generates(net, package, prompts):
    ids, pixels, mask = (value.numpy() for value in prompts.values())
    package.facts["eos_id"] = None  # nothing ends an answer

    made = package.generate(ids, pixels, mask=mask, limit=NEW)

    np.testing.assert_array_equal(made, generated(net, prompts).numpy())


def graph(package, part):
    """A graph of the package, without its weights."""
    return onnx.load(package.folder / f"{part}.onnx", load_external_data=False).graph
