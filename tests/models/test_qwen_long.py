"""Qwen beyond its trained length, against the published arithmetic written out: padded slots count as tokens do.

Source: QwenLM/Qwen `modeling_qwen.py`, `get_ntk_alpha` and `logn_tensor`.
"""

import math

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from safetensors.torch import save_file  # noqa: E402

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
HEADS, WIDTH, TRAINED, PADDING = 3, 24, 8, 5
TEXT = f"""
from std.llm.qwen import Qwen

model Long {{
  llm llm: Qwen(
    width = {WIDTH}, depth = 2, heads = {HEADS}, mlp_width = 31, vocab = 50, context = 64, trained = {TRAINED}
  )
}}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    file = tmp_path_factory.mktemp("spec") / "long.lmm"
    file.write_text(TEXT, encoding="utf-8")
    return lmmdsl.load(file)


@pytest.fixture(scope="module")
def net(spec):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = spec.to_torch().eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return net


def published(net, ids, mask):
    """Logits `[B, T, V]` by the published rules; the length of the whole batch decides, padding included."""
    length, width = ids.shape[1], WIDTH // HEADS
    alpha = max(2 ** math.ceil(math.log(length / TRAINED, 2) + 1) - 1, 1)
    base = 10000.0 * alpha ** (width / (width - 2))
    rates = 1.0 / base ** (torch.arange(0, width, 2).float() / width)
    angles = torch.arange(length).float()[:, None] * rates  # [T, width / 2]
    slots = range(1, length + 1)
    growth = torch.tensor([math.log(t, TRAINED) if t > TRAINED else 1.0 for t in slots])
    sees = torch.ones(length, length).tril().bool() & mask[:, None, None]  # [B, 1, T, T]
    llm = net.llm
    x = llm.embedding(ids)
    for layer in llm.layers:
        y = layer.norm1(x)
        q, k, v = (
            part(y).unflatten(2, (HEADS, width)).transpose(1, 2)
            for part in (layer.attn.q, layer.attn.k, layer.attn.v)
        )
        q, k = turned(q, angles) * growth[:, None], turned(k, angles)
        scores = (q @ k.transpose(2, 3) / width**0.5).masked_fill(~sees, -1e9)
        x = x + layer.attn.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.norm2(x))
    return llm.head(llm.norm(x))


def turned(x, angles):
    left, right = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def prompt(length):
    """Ids and mask `[2, T]`; the second row has padding in front."""
    ids = torch.randint(0, 50, (2, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, : min(PADDING, length - 1)] = False
    return ids, mask


@pytest.mark.parametrize("length", [7, 8, 9, 16, 17, 32, 33])
def test_torch_follows_the_published_rules(net, length):
    ids, mask = prompt(length)

    with torch.inference_mode():
        found, wanted = net(ids, attention_mask=mask), published(net, ids, mask)

    torch.testing.assert_close(found[mask], wanted[mask], atol=1e-4, rtol=1e-4)


def test_onnx_follows_the_published_rules(spec, net, tmp_path):
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    spec.to_onnx(tmp_path / "package", weights=tmp_path / "weights.safetensors")
    package = Package(tmp_path / "package")
    for length in (8, 19, 33):
        ids, mask = prompt(length)
        with torch.inference_mode():
            wanted = published(net, ids, mask)

        found, _ = package.decode(package.embed(ids.numpy()), mask.long().numpy(), keep=0)

        real = mask.numpy()
        np.testing.assert_allclose(found[real], wanted.numpy()[real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_static", [False, True], ids=["growing cache", "static cache"])
def test_steps_with_a_cache_agree_with_the_whole(net, is_static):
    """A cache of fixed shape tells the length as a tensor; without padding no mask is given."""
    ids, _ = prompt(24)
    with torch.inference_mode():
        wanted = published(net, ids, torch.ones(2, 24, dtype=torch.bool))
        cache = net.make_cache(32)
        found = [net(ids[:, :18], cache=cache)]
        if is_static:
            cache.make_static()
        found += [net(ids[:, t : t + 1], cache=cache) for t in range(18, 24)]

    torch.testing.assert_close(torch.cat(found, dim=1), wanted, atol=1e-4, rtol=1e-4)
