"""GPT-NeoX against transformers: branches one after the other and side by side, heads rotated whole and in part."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

import lmmdsl  # noqa: E402

pytestmark = [pytest.mark.torch]
TEXT = """
from std.llm.neox import GptNeox

model Alone {{
  llm llm: GptNeox(
    width = 24, depth = 2, heads = 3, mlp_width = 31, vocab = 50, context = 64, turned = {turned}, parallel = {parallel}
  )

  weights hf "a random model" {{ llm = "" }}
}}
"""


@pytest.mark.parametrize("parallel", [True, False], ids=["side by side", "in sequence"])
@pytest.mark.parametrize("turned", [4, 1], ids=["whole", "in part"])
def test_neox_equals_transformers(parallel, turned, tmp_path):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = transformers.GPTNeoXConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=31,
        vocab_size=50,
        rotary_pct=turned / 4,
        use_parallel_residual=parallel,
        max_position_embeddings=64,
    )
    reference = transformers.GPTNeoXForCausalLM(config).eval()
    for weight in reference.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    file = tmp_path / "alone.lmm"
    file.write_text(TEXT.format(turned=turned, parallel=str(parallel).lower()), encoding="utf-8")
    net = lmmdsl.load(file).to_torch().eval()
    lmmdsl.load_weights(net, tmp_path / "model.safetensors", naming="hf")
    ids = torch.randint(0, 50, (2, 11))
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[1, :4] = False

    with torch.inference_mode():
        found = net(ids, attention_mask=mask)
        places = (mask.long().cumsum(1) - 1).clamp(min=0)
        wanted = reference(ids, attention_mask=mask.long(), position_ids=places).logits

    torch.testing.assert_close(found[mask], wanted[mask], atol=1e-4, rtol=1e-4)
    lmmdsl.save_weights(net, tmp_path / "saved.safetensors", naming="hf")
    saved = load_file(tmp_path / "saved.safetensors")
    published = {
        "embed_out.weight" if name == "lm_head.weight" else name: weight
        for name, weight in reference.state_dict().items()
    }
    assert set(saved) == set(published)
    assert all(torch.equal(saved[name], weight) for name, weight in published.items())
