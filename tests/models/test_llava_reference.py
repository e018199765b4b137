"""LLaVA-v1.5 against transformers, in one process: random sizes, weights by their published names."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from transformers import LlavaForConditionalGeneration

import lmmdsl
from tests.models.llava_reference import SPEC, Sizes, prompts, reference
from tests.models.llava_reference import settings as spec_settings

pytestmark = pytest.mark.torch

PLAIN = Sizes(
    grid=3, patch=5, vision_heads=3, vision_head_dim=8, vision_depth=3, vision_mlp=50,
    heads=6, kv_heads=2, head_dim=6, depth=3, mlp=77, vocab=61, theta=10000.0,
)  # fmt: skip


@st.composite
def sizes(draw: st.DrawFn) -> Sizes:
    """Random sizes with odd numbers, and fewer key/value heads than heads as often as not."""
    kv_heads = draw(st.integers(1, 3))
    return Sizes(
        grid=draw(st.integers(2, 4)),
        patch=draw(st.integers(2, 5)),
        vision_heads=draw(st.integers(1, 3)),
        vision_head_dim=draw(st.sampled_from([4, 6, 10])),
        vision_depth=draw(st.integers(2, 4)),
        vision_mlp=draw(st.integers(7, 40)),
        heads=kv_heads * draw(st.integers(1, 3)),
        kv_heads=kv_heads,
        head_dim=draw(st.sampled_from([4, 6, 10])),
        depth=draw(st.integers(1, 3)),
        mlp=draw(st.integers(7, 40)),
        vocab=draw(st.integers(40, 90)),
        theta=draw(st.sampled_from([10000.0, 500.0])),
    )


def ours(size: Sizes, folder: Path) -> torch.nn.Module:
    net = lmmdsl.load(SPEC, set=spec_settings(size)).to_torch()
    return lmmdsl.load_weights(net, folder, naming="hf").eval()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(
    size=sizes(), seed=st.integers(0, 99), side=st.sampled_from(["left", "right"]), data=st.data()
)
def test_logits_random_sizes_equal_reference(
    size: Sizes, seed: int, side: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    images = data.draw(st.sampled_from([[1, 2], [0, 1], [2, 0], [0, 0]]))
    batch = prompts(size, images, [7, 5], side, seed)
    model = reference(size, seed)
    folder = tmp_path_factory.mktemp("reference")
    model.save_pretrained(folder)
    net = ours(size, folder)
    with torch.no_grad():
        want = model(**batch).logits
        got = net(**batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(got[real], want[real], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_generate_padded_batch_equals_reference(side: str, tmp_path: Path) -> None:
    model = reference(PLAIN)
    model.save_pretrained(tmp_path)
    net = ours(PLAIN, tmp_path)
    batch = prompts(PLAIN, [1, 2], [6, 9], side, seed=5)
    left = prompts(PLAIN, [1, 2], [6, 9], "left", seed=5)
    want = model.generate(**left, max_new_tokens=9, do_sample=False)[
        :, left["input_ids"].shape[1] :
    ]
    got = net.generate(**batch, max_new_tokens=9, stop_ids=())[:, left["input_ids"].shape[1] :]
    assert got.tolist() == want.tolist()


def test_save_weights_reference_loads_them(tmp_path: Path) -> None:
    model = reference(PLAIN)
    model.save_pretrained(tmp_path / "theirs")
    net = ours(PLAIN, tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    lmmdsl.save_weights(net, tmp_path / "ours", naming="hf", carry=tmp_path / "theirs")
    model.config.save_pretrained(tmp_path / "ours")
    again, info = LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
