"""Published parts load one by one into a model that was mixed of them."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

import lmmdsl  # noqa: E402

pytestmark = [pytest.mark.torch]

MIX = """
from std.connector.glu import GluAdapter
from std.llm.llama     import Llama
from std.lora          import Lora
from std.tokens        import drop_first
from std.vision.clip   import ClipVit

model Mix {
  encoder   vision: ClipVit(image_size = 20, patch_size = 5, width = 24, depth = 3, heads = 3, mlp_width = 50)
  connector joint:  GluAdapter(in = vision.width, width = llm.width, mlp_width = 58)
  llm       llm:    Llama(width = 32, depth = 2, heads = 4, kv_heads = 2, mlp_width = 44, vocab = 80, context = 128)

  visual = vision.hidden[-2] |> drop_first |> joint

  inject Lora(rank = 2, alpha = 4) around llm.layers[*].attn.q

  vocab { <bos> = 1, <image> = 3 }
  layout chat { <bos> <image = visual> {question} {answer: loss} }
}
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "mix.lmm"
    path.write_text(MIX, encoding="utf-8")
    return lmmdsl.load(path).to_torch().eval()


def encoder():
    """A whole CLIP of transformers, whose tower for text nobody here wants."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    vision = CLIPVisionConfig(
        image_size=20, patch_size=5, hidden_size=24, num_hidden_layers=3, num_attention_heads=3,
        intermediate_size=50,
    )  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=20,
    )  # fmt: skip
    return CLIPModel(CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict())).eval()


def language_model():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=80, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=44, max_position_embeddings=128, rms_norm_eps=1e-5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def saved(module, path):
    """The file of a module, every parameter of it moved."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    save_file({name: value.clone() for name, value in module.state_dict().items()}, path)
    return path


def test_published_encoder_and_language_model_enter_a_mix(net, tmp_path):
    clip, llama = encoder(), language_model()
    before = {name: value.clone() for name, value in net.state_dict().items()}

    file = saved(clip, tmp_path / "clip.safetensors")
    lmmdsl.load_weights(net, file, naming="hf", part="vision", prefix="vision_model")
    lmmdsl.load_weights(net, saved(llama, tmp_path / "llama.safetensors"), naming="hf", part="llm")

    pixels, ids = torch.randn(2, 3, 20, 20), torch.tensor([[5, 6, 7, 8, 9]])
    with torch.inference_mode():
        hidden = clip.vision_model(pixels, output_hidden_states=True).hidden_states[-2]
        torch.testing.assert_close(net.encode(pixels), net.joint(hidden[:, 1:]))
        wanted = llama(ids).logits
        q = [name for name in before if name.startswith("llm.") and ".attn.q." in name]
        adapters = [name for name in q if not name.endswith(".inner.weight")]
        assert len(adapters) == 4
        for name in adapters:
            torch.testing.assert_close(net.state_dict()[name], before[name])
        for name in adapters:  # without what the adapters add, it is the published model
            net.state_dict()[name].zero_()
        torch.testing.assert_close(net(ids), wanted, atol=1e-5, rtol=1e-5)
    for name, value in before.items():
        if name.startswith("joint."):
            torch.testing.assert_close(net.state_dict()[name], value)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"part": "visoin", "naming": "hf", "prefix": "vision_model"}, "E0206"),
        ({"part": "vision", "naming": "hff", "prefix": "vision_model"}, "E0703"),
        ({"part": "vision", "naming": "hf"}, "E0706"),  # the tower for text is left over
        ({"part": "vision", "naming": "hf", "prefix": "vision"}, "E0706"),
        ({"part": "llm", "naming": "hf", "prefix": "vision_model"}, "E0706"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(net, tmp_path, options, code):
    file = saved(encoder(), tmp_path / "clip.safetensors")
    before = {name: value.clone() for name, value in net.state_dict().items()}

    with pytest.raises(lmmdsl.CompileFailed) as failure:
        lmmdsl.load_weights(net, file, **options)

    assert [found.code for found in failure.value.diagnostics] == [code]
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name])
