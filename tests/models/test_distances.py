"""Decoders that know distances instead of positions, MPT and Chinchilla, against other ways of computing them.

Axes: B batch, h heads, T tokens, S tokens seen, d width of a head.
"""

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from safetensors.torch import save_file  # noqa: E402

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402
from lmmdsl.backends.torch.weights import load_weights  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
HEADS, WIDTH, HEAD = 3, 24, 6
TEXTS = {
    "mpt": f"""
from std.llm.mpt import Mpt

model Alone {{
  llm llm: Mpt(width = {WIDTH}, depth = 2, heads = {HEADS}, mlp_width = {4 * WIDTH}, vocab = 50, context = 64)

  weights hf "a random model" {{ llm = "" }}
}}
""",
    "chinchilla": f"""
from std.llm.chinchilla import Chinchilla

model Alone {{
  llm llm: Chinchilla(
    width = {WIDTH}, depth = 2, heads = {HEADS}, head_dim = {HEAD}, mlp_width = 31, vocab = 50, context = 64
  )
}}
""",
}


@pytest.fixture(params=list(TEXTS))
def spec(request, tmp_path):
    return compiled(request.param, tmp_path)


def compiled(name, folder):
    file = folder / "alone.lmm"
    file.write_text(TEXTS[name], encoding="utf-8")
    return lmmdsl.load(file)


def random_net(spec):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = spec.to_torch().eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return net


def prompt(length, padding):
    """Ids and mask `[2, T]`; the second row has padding in front."""
    ids = torch.randint(0, 50, (2, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, :padding] = False
    return ids, mask


@pytest.mark.parametrize("padding", [0, 4])
def test_mpt_equals_transformers(tmp_path, padding):
    transformers = pytest.importorskip("transformers")
    spec = compiled("mpt", tmp_path)
    net = random_net(spec)
    config = transformers.MptConfig(
        d_model=WIDTH, n_heads=HEADS, n_layers=2, vocab_size=50, max_seq_len=64, no_bias=True
    )
    reference = transformers.MptForCausalLM(config).eval()
    torch.manual_seed(1)
    for weight in reference.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    state = {k: v for k, v in reference.state_dict().items() if k != "lm_head.weight"}
    save_file(state, tmp_path / "model.safetensors")
    load_weights(net, tmp_path / "model.safetensors", "hf")
    ids, mask = prompt(11, padding)

    with torch.inference_mode():
        found = net(ids, attention_mask=mask)
        wanted = reference(ids, attention_mask=mask.long()).logits

    torch.testing.assert_close(found[mask], wanted[mask], atol=1e-4, rtol=1e-4)


def shifted(net, ids, mask):
    """Logits of Chinchilla `[B, T, V]`; scores of distances are shifted as in arXiv 1901.02860, appendix B."""
    length, llm = ids.shape[1], net.llm
    away = torch.arange(length - 1, -1, -1).float()  # the first column is the farthest
    angles = away[:, None] / 10000 ** (torch.arange(0, WIDTH, 2).float() / WIDTH)
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1)  # [S, W]
    sees = torch.ones(length, length).tril().bool() & mask[:, None, None]  # [B, 1, T, S]
    x = llm.embedding(ids)
    for layer in llm.layers:
        attn, y = layer.attn, layer.norm1(x)
        q, k, v = (
            part(y).unflatten(2, (HEADS, HEAD)).transpose(1, 2) for part in (attn.q, attn.k, attn.v)
        )
        far = attn.far(waves).unflatten(1, (HEADS, HEAD)).transpose(0, 1)  # [h, S, d]
        near = (q + attn.content[:, None]) @ k.transpose(2, 3)
        apart = (q + attn.distance[:, None]) @ far.transpose(1, 2)  # [B, h, T, S]
        apart = torch.nn.functional.pad(apart, (1, 0)).reshape(2, HEADS, length + 1, length)
        apart = apart[:, :, 1:]  # row t moved by T - 1 - t
        scores = ((near + apart) / HEAD**0.5).masked_fill(~sees, -1e9)
        x = x + attn.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.norm2(x))
    return llm.norm(x) @ llm.embedding.weight.T


@pytest.mark.parametrize("length", [1, 2, 9])
def test_chinchilla_equals_shifted_scores(tmp_path, length):
    net = random_net(compiled("chinchilla", tmp_path))
    ids, mask = prompt(length, min(3, length - 1))

    with torch.inference_mode():
        found, wanted = net(ids, attention_mask=mask), shifted(net, ids, mask)

    torch.testing.assert_close(found[mask], wanted[mask], atol=1e-4, rtol=1e-4)


def test_onnx_equals_torch_with_padding_and_a_past(spec, tmp_path):
    net = random_net(spec)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    spec.to_onnx(tmp_path / "package", weights=tmp_path / "weights.safetensors")
    package = Package(tmp_path / "package")
    ids, mask = prompt(12, 4)
    with torch.inference_mode():
        wanted = net(ids, attention_mask=mask).numpy()
    marks = mask.long().numpy()

    whole, _ = package.decode(package.embed(ids.numpy()), marks, keep=0)
    first, cache = package.decode(package.embed(ids[:, :9].numpy()), marks[:, :9], keep=0)
    second, _ = package.decode(package.embed(ids[:, 9:].numpy()), marks, cache, keep=0)

    real = mask.numpy()
    np.testing.assert_allclose(whole[real], wanted[real], atol=1e-4, rtol=1e-4)
    stepped = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(stepped[real], wanted[real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_static", [False, True], ids=["growing cache", "static cache"])
def test_steps_with_a_cache_agree_with_the_whole(spec, is_static):
    net = random_net(spec)
    ids, _ = prompt(14, 0)
    with torch.inference_mode():
        wanted = net(ids)
        cache = net.make_cache(32)
        found = [net(ids[:, :9], cache=cache)]
        if is_static:
            cache.make_static()
        found += [net(ids[:, t : t + 1], cache=cache) for t in range(9, 14)]

    torch.testing.assert_close(torch.cat(found, dim=1), wanted, atol=1e-4, rtol=1e-4)
