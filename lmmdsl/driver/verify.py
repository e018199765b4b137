"""Whether PyTorch and ONNX Runtime agree on a model, part by part and end to end.

Takes a checked program; makes the module with random weights and the ONNX package from the same weights, runs both
and gives one answer per question: each component alone on the same inputs, cached against uncached, batched
against single, another number of images, another length, and the tokens that both generate.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lmmdsl.driver.verdict import Answer, Verdict
from lmmdsl.driver.verify_flows import compare_flows
from lmmdsl.driver.verify_locate import first_difference
from lmmdsl.driver.verify_pair import Array, Comparison, Pair, compare, make_pair
from lmmdsl.driver.verify_reading import compare_reading
from lmmdsl.graph.program import Program

NEW_TOKENS = 6


@dataclass(frozen=True, slots=True)
class Prompt:
    """Prompts of one length: ids `[B, T]`, mask `[B, T]` (0 at padding in front), images `[I, C, H, W]`."""

    ids: Array
    mask: Array
    pixels: Array | None


def verify(program: Program, *, profile: str = "std", seed: int = 0) -> Verdict:
    """Compare PyTorch and ONNX Runtime on a model with random weights.

    Args:
        program: the checked program; a small variant will do.
        profile: which operators the ONNX package uses.
        seed: of weights and inputs.
    """
    with tempfile.TemporaryDirectory() as home, torch.inference_mode():
        pair = make_pair(program, Path(home), profile=profile, seed=seed)
        results = [*_compare_pipeline(pair), *compare_flows(pair)]
        answers = tuple(_located(pair, result) for result in results)
    return Verdict(model=program.name, variant=program.variant, profile=profile, answers=answers)


def _located(pair: Pair, result: Comparison) -> Answer:
    if result.answer.agrees or not result.method:
        return result.answer
    return replace(result.answer, first=first_difference(pair, result.method, result.inputs))


def _compare_pipeline(pair: Pair) -> Iterator[Comparison]:
    if not pair.has("decode", "embed", "logits"):
        return
    if pair.has("encode"):
        yield from (_compare_encoder(pair, count) for count in (1, 3))
    if pair.has("read"):
        yield from compare_reading(pair, tokens=NEW_TOKENS)
        return
    images = (0, 1, 2) if pair.has("encode") else (0,)
    prompts = [_prompt(pair, count, text=5 + 3 * count) for count in images]
    for prompt in prompts:
        yield from _compare_parts(pair, prompt)
    for name, logits in (("torch", _torch_logits), ("onnx", _onnx_logits)):
        yield from _compare_batch(pair, prompts, name, logits)
    yield _compare_cached(pair, prompts[-1], "torch", _torch_cached, _torch_logits)
    yield _compare_cached(pair, prompts[-1], "onnx", _onnx_cached, _onnx_logits)
    yield from (_compare_tokens(pair, prompt) for prompt in prompts)


def _prompt(pair: Pair, images: int, *, text: int) -> Prompt:
    visual = pair.visual(images)
    words = pair.words(text)
    ids = np.array([[*words[:2], *visual, *words[2:-4], *pair.marks(), *words[-4:]]], np.int64)
    pixels = pair.pixels(images) if images else None
    return Prompt(ids, np.ones_like(ids), pixels)


def _batch(prompts: list[Prompt]) -> Prompt:
    """Prompts of several lengths as one, padded in front."""
    length = max(prompt.ids.shape[1] for prompt in prompts)
    front = [((0, 0), (length - prompt.ids.shape[1], 0)) for prompt in prompts]
    pixels = [prompt.pixels for prompt in prompts if prompt.pixels is not None]
    return Prompt(
        np.concatenate([np.pad(p.ids, pad) for p, pad in zip(prompts, front, strict=True)]),
        np.concatenate([np.pad(p.mask, pad) for p, pad in zip(prompts, front, strict=True)]),
        np.concatenate(pixels) if pixels else None,
    )


def _compare_encoder(pair: Pair, images: int) -> Comparison:
    pixels = pair.pixels(images)
    ours = pair.net.encode(torch.from_numpy(pixels)).flatten(0, -2)
    name = f"encode, {images} image{'s' if images > 1 else ''}"
    return compare(
        name, ours, pair.package.encode(pixels), method="encode", inputs={"pixel_values": pixels}
    )


def _compare_parts(pair: Pair, prompt: Prompt) -> Iterator[Comparison]:
    what = f"{prompt.ids.shape[1]} tokens"
    features = _features(pair, prompt)
    given = (features,) if pair.splices else ()
    embeds = pair.net.embed(torch.from_numpy(prompt.ids), *given)
    flat = None if features is None else features.flatten(0, -2).numpy()
    inputs = {"input_ids": prompt.ids} | (
        {} if features is None else {"features": features.numpy()}
    )
    theirs = pair.package.embed(prompt.ids, flat)
    yield compare(f"embed, {what}", embeds, theirs, method="embed", inputs=inputs)
    logits, _ = pair.package.decode(
        embeds.numpy(), prompt.mask, ids=prompt.ids, features=flat, keep=0
    )
    inputs = {"inputs_embeds": embeds.numpy(), "attention_mask": prompt.mask.astype(bool)}
    inputs |= pair.package.arrange(prompt.ids, prompt.mask)
    ours = _torch_logits(pair, prompt)
    yield compare(f"decode, {what}", ours, logits, method="decode", inputs=inputs)
    yield compare(f"end to end, {what}", ours, _onnx_logits(pair, prompt))


Logits = Callable[[Pair, Prompt], Array]


def _compare_batch(
    pair: Pair, prompts: list[Prompt], name: str, logits: Logits
) -> Iterator[Comparison]:
    if len(prompts) == 1:
        prompts = [*prompts, _prompt(pair, 0, text=9)]
    rows = logits(pair, _batch(prompts))
    for row, prompt in zip(rows, prompts, strict=True):
        length = prompt.ids.shape[1]
        yield compare(
            f"batch = single, {length} tokens, {name}", row[None, -length:], logits(pair, prompt)
        )


def _compare_cached(
    pair: Pair, prompt: Prompt, name: str, cached: Logits, whole: Logits
) -> Comparison:
    return compare(f"cached = whole, {name}", cached(pair, prompt), whole(pair, prompt)[:, -3:])


def _features(pair: Pair, prompt: Prompt) -> torch.Tensor | None:
    if prompt.pixels is None:
        return None
    features: torch.Tensor = pair.net.encode(torch.from_numpy(prompt.pixels))
    return features


def _torch_logits(pair: Pair, prompt: Prompt) -> Array:
    logits: torch.Tensor = pair.net(
        torch.from_numpy(prompt.ids),
        attention_mask=torch.from_numpy(prompt.mask),
        **_images(prompt),
    )
    return logits.numpy()


def _images(prompt: Prompt) -> dict[str, torch.Tensor]:
    return {} if prompt.pixels is None else {"pixel_values": torch.from_numpy(prompt.pixels)}


def _onnx_features(pair: Pair, prompt: Prompt) -> Array | None:
    return None if prompt.pixels is None else pair.package.encode(prompt.pixels)


def _onnx_logits(pair: Pair, prompt: Prompt) -> Array:
    features = _onnx_features(pair, prompt)
    embeds = pair.package.embed(prompt.ids, features)
    logits: Array = pair.package.decode(
        embeds, prompt.mask, ids=prompt.ids, features=features, keep=0
    )[0]
    return logits


def _torch_cached(pair: Pair, prompt: Prompt) -> Array:
    """Logits of the last three tokens: two in one step after the others, then one."""
    length = prompt.ids.shape[1]
    cache = pair.net.make_cache(length)
    steps = []
    for start, end in ((0, length - 3), (length - 3, length - 1), (length - 1, length)):
        logits = pair.net(
            torch.from_numpy(prompt.ids[:, start:end]),
            attention_mask=torch.from_numpy(prompt.mask[:, :end]),
            cache=cache,
            **({} if start else _images(prompt)),
        )
        steps.append(logits.numpy())
    return np.concatenate(steps[1:], axis=1)


def _onnx_cached(pair: Pair, prompt: Prompt) -> Array:
    """As `_torch_cached`."""
    features, length = _onnx_features(pair, prompt), prompt.ids.shape[1]
    embeds = pair.package.embed(prompt.ids, features)
    steps, cache = [], None
    for start, end in ((0, length - 3), (length - 3, length - 1), (length - 1, length)):
        ids, mask = prompt.ids[:, :end], prompt.mask[:, :end]
        logits, cache = pair.package.decode(
            embeds[:, start:end], mask, cache, ids=ids, features=features, keep=0
        )
        steps.append(logits)
    return np.concatenate(steps[1:], axis=1)


def _compare_tokens(pair: Pair, prompt: Prompt) -> Comparison:
    pixels = None if prompt.pixels is None else torch.from_numpy(prompt.pixels)
    ours = pair.net.generate(torch.from_numpy(prompt.ids), pixels, max_new_tokens=NEW_TOKENS)
    theirs = pair.package.generate(prompt.ids, prompt.pixels, limit=NEW_TOKENS)
    length = prompt.ids.shape[1]
    return compare(f"generate, {length} tokens", ours[:, length:], theirs)
