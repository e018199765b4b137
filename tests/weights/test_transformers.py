"""Folders that transformers writes load here, and what is saved here loads there."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import lmmdsl  # noqa: E402
from lmmdsl.backends.torch.saving import save_weights  # noqa: E402
from lmmdsl.backends.torch.weights import load_weights  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.slow]
SPEC = Path(__file__).resolve().parents[2] / "specs" / "llava_v1_5.lmm"
IMAGE = 77
SIZES = {
    "vision.image_size": 20,
    "vision.patch_size": 5,
    "vision.width": 24,
    "vision.depth": 3,
    "vision.heads": 3,
    "vision.mlp_width": 50,
    "llm.width": 32,
    "llm.depth": 2,
    "llm.heads": 4,
    "llm.kv_heads": 2,
    "llm.mlp_width": 44,
    "llm.vocab": 80,
    "llm.context": 128,
    "vocab.image": IMAGE,
}


@pytest.fixture(scope="module")
def reference():
    """A random model of transformers at `SIZES`."""
    try:
        from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig
        from transformers import LlavaForConditionalGeneration as Llava
    except (ImportError, RuntimeError) as error:  # a torchvision of another torch, for one
        pytest.skip(f"transformers cannot be used here: {error}")
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        image_size=20,
        patch_size=5,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=50,
    )
    text = LlamaConfig(
        vocab_size=80,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=44,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    return Llava(config).eval()


@pytest.fixture
def net():
    return lmmdsl.load(SPEC, set=SIZES).to_torch().eval()


def ask(model):
    """Logits for a prompt with two images."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, 20, 20, generator=generator)
    text = torch.randint(3, 70, (1, 5), generator=generator)
    picture = torch.full((1, 16), IMAGE)
    ids = torch.cat([text, picture, text, picture, text], dim=1)
    with torch.inference_mode():
        found = model(input_ids=ids, pixel_values=pixels)
    return getattr(found, "logits", found)


@pytest.mark.parametrize("shards", [None, "40KB"])
def test_a_saved_folder_loads_and_gives_the_same_logits(reference, net, tmp_path, shards):
    size = {} if shards is None else {"max_shard_size": shards}
    reference.save_pretrained(tmp_path, **size)

    load_weights(net, tmp_path, "hf")

    assert (tmp_path / "model.safetensors.index.json").exists() == (shards is not None)
    torch.testing.assert_close(ask(net), ask(reference), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shard_size", [None, 40_000])
def test_what_is_saved_here_loads_there(reference, net, tmp_path, shard_size):
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    reference.save_pretrained(theirs)
    load_weights(net, theirs, "hf")
    reference.config.save_pretrained(ours)

    save_weights(net, ours, "hf", shard_size=shard_size, carry=theirs)
    again, report = type(reference).from_pretrained(ours, output_loading_info=True)

    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(ask(again.eval()), ask(reference), atol=1e-6, rtol=1e-6)


def test_the_runtime_names_load_too(reference, net, tmp_path):
    from safetensors.torch import save_file

    save_file(dict(reference.state_dict()), tmp_path / "state.safetensors")

    load_weights(net, tmp_path / "state.safetensors", "hf")

    torch.testing.assert_close(ask(net), ask(reference), atol=1e-5, rtol=1e-5)
