"""transformers' LlavaForConditionalGeneration, random in size and weights, and the spec of the same sizes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

SPEC = Path(__file__).parents[2] / "specs" / "llava_v1_5.lmm"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a small LLaVA; `layer` is the hidden state that is read, counted from the end."""

    grid: int
    patch: int
    vision_heads: int
    vision_head_dim: int
    vision_depth: int
    vision_mlp: int
    heads: int
    kv_heads: int
    head_dim: int
    depth: int
    mlp: int
    vocab: int
    theta: float
    layer: int = -2

    @property
    def tokens(self) -> int:
        """Visual tokens of an image."""
        return self.grid * self.grid

    @property
    def image_id(self) -> int:
        """Id of the placeholder: the last of the vocabulary."""
        return self.vocab - 1


def reference(sizes: Sizes, seed: int = 0) -> LlavaForConditionalGeneration:
    """A reference model with every parameter drawn at random, norms and biases included."""
    vision = CLIPVisionConfig(
        hidden_size=sizes.vision_heads * sizes.vision_head_dim,
        intermediate_size=sizes.vision_mlp,
        num_hidden_layers=sizes.vision_depth,
        num_attention_heads=sizes.vision_heads,
        image_size=sizes.grid * sizes.patch,
        patch_size=sizes.patch,
    )
    text = LlamaConfig(
        vocab_size=sizes.vocab,
        hidden_size=sizes.heads * sizes.head_dim,
        intermediate_size=sizes.mlp,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.theta},
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=sizes.image_id,
        vision_feature_layer=sizes.layer,
        image_seq_length=sizes.tokens,
    )
    config._attn_implementation = "eager"
    model = LlavaForConditionalGeneration(config).eval()
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=draws) * 0.2
            parameter.copy_(noise + (1 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0))
    return model


def settings(sizes: Sizes) -> dict[str, int | float]:
    """The same sizes as parameters of the spec."""
    return {
        "vision.image_size": sizes.grid * sizes.patch,
        "vision.patch_size": sizes.patch,
        "vision.width": sizes.vision_heads * sizes.vision_head_dim,
        "vision.depth": sizes.vision_depth,
        "vision.heads": sizes.vision_heads,
        "vision.mlp_width": sizes.vision_mlp,
        "llm.width": sizes.heads * sizes.head_dim,
        "llm.depth": sizes.depth,
        "llm.heads": sizes.heads,
        "llm.kv_heads": sizes.kv_heads,
        "llm.mlp_width": sizes.mlp,
        "llm.vocab": sizes.vocab,
        "llm.context": 512,
        "llm.rope_theta": sizes.theta,
        "vocab.image": sizes.image_id,
    }


def prompts(
    sizes: Sizes, images: list[int], lengths: list[int], side: str, seed: int
) -> dict[str, torch.Tensor]:
    """A padded batch: `images[b]` images and `lengths[b]` words in row b, and pixels for all of them."""
    draws = torch.Generator().manual_seed(seed)
    rows = []
    for count, length in zip(images, lengths, strict=True):
        words = torch.randint(3, sizes.vocab - 1, (length,), generator=draws)
        picture = torch.full((sizes.tokens,), sizes.image_id)
        pieces = [
            words[:2],
            *[piece for i in range(count) for piece in (picture, words[2 + i : 3 + i])],
            words[2 + count :],
        ]
        rows.append(torch.cat(pieces))
    longest = max(len(row) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(longest - len(row), longest) if side == "left" else slice(0, len(row))
        ids[place, where], mask[place, where] = row, 1
    batch = {"input_ids": ids, "attention_mask": mask}
    if sum(images):
        side_length = sizes.grid * sizes.patch
        batch["pixel_values"] = torch.randn(
            sum(images), 3, side_length, side_length, generator=draws
        )
    return batch
