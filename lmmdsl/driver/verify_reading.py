"""Verifying encoder-decoders: what the encoder reads, what the decoder answers, whole, in steps and in batches.

Axes: B batch, N tokens of the prompt, T tokens of the answer, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lmmdsl.driver.verify_pair import Array, Comparison, Pair, compare

ANSWER = 7  # tokens of an answer that is given
STEPS = ((0, ANSWER - 3), (ANSWER - 3, ANSWER - 1), (ANSWER - 1, ANSWER))


@dataclass(frozen=True, slots=True)
class Reading:
    """Prompts `[B, N]` with their mask, images `[I, C, H, W]`, and answers `[B, T]`."""

    ids: Array
    mask: Array
    pixels: Array | None
    answer: Array

    def torch(self) -> dict[str, torch.Tensor]:
        """Prompts as arguments of the module."""
        given = {"input_ids": self.ids, "attention_mask": self.mask}
        given |= {} if self.pixels is None else {"pixel_values": self.pixels}
        return {name: torch.from_numpy(value) for name, value in given.items()}


def compare_reading(pair: Pair, *, tokens: int) -> Iterator[Comparison]:
    """One answer per question about an encoder-decoder.

    Args:
        pair: the module and the package of the model.
        tokens: how many to generate.
    """
    images = (0, 1, 2) if pair.has("encode") else (0,)
    singles = [_reading(pair, count, text=5 + 3 * count) for count in images]
    if len(singles) == 1:
        singles.append(_reading(pair, 0, text=9))
    for one in singles:
        yield from _compare_parts(pair, one)
    both = _batch(singles)
    for where, batch in (("behind", both), ("in front", _batch(singles, front=True))):
        for name, logits in (("torch", _torch_logits), ("onnx", _onnx_logits)):
            for row, one in zip(logits(pair, batch), singles, strict=True):
                what = f"padded {where} = single, {one.ids.shape[1]} tokens, {name}"
                yield compare(what, row[None], logits(pair, one))
    last = singles[-1]
    yield compare("cached = whole, torch", _torch_cached(pair, last), _torch_logits(pair, last))
    yield compare("cached = whole, onnx", _onnx_cached(pair, last), _onnx_logits(pair, last))
    for one in (*singles, both):
        ours = pair.net.generate(**one.torch(), max_new_tokens=tokens)[:, 1:]
        theirs = pair.package.generate(one.ids, one.pixels, mask=one.mask, limit=tokens)
        yield compare(f"generate, {len(one.ids)} x {one.ids.shape[1]} tokens", ours, theirs)


def _reading(pair: Pair, images: int, *, text: int) -> Reading:
    ids = np.array([[*pair.visual(images), *pair.words(text)]], np.int64)
    pixels = pair.pixels(images) if images else None
    answer = np.array([[pair.package.facts["start_id"] or 0, *pair.words(ANSWER - 1)]], np.int64)
    return Reading(ids, np.ones_like(ids), pixels, answer)


def _batch(singles: list[Reading], *, front: bool = False) -> Reading:
    """Prompts of several lengths as one, padded in front or behind."""
    length = max(one.ids.shape[1] for one in singles)
    missing = [length - one.ids.shape[1] for one in singles]
    ends = [((0, 0), (count, 0) if front else (0, count)) for count in missing]
    pixels = [one.pixels for one in singles if one.pixels is not None]
    return Reading(
        np.concatenate([np.pad(o.ids, end) for o, end in zip(singles, ends, strict=True)]),
        np.concatenate([np.pad(o.mask, end) for o, end in zip(singles, ends, strict=True)]),
        np.concatenate(pixels) if pixels else None,
        np.concatenate([one.answer for one in singles]),
    )


def _compare_parts(pair: Pair, one: Reading) -> Iterator[Comparison]:
    what = f"{one.ids.shape[1]} tokens"
    memory = pair.net.remember(**one.torch()).numpy()
    theirs = _memory(pair, one)["encoder_hidden_states"]
    yield compare(f"read, {what}", memory, theirs)
    yield compare(f"answer, {what}", _torch_logits(pair, one), _onnx_logits(pair, one))


def _memory(pair: Pair, one: Reading) -> dict[str, Array]:
    features = None if one.pixels is None else pair.package.encode(one.pixels)
    found: dict[str, Array] = pair.package.read(pair.package.embed(one.ids, features), one.mask)
    return found


def _torch_logits(pair: Pair, one: Reading) -> Array:
    answer = torch.from_numpy(one.answer)
    logits: Array = pair.net(**one.torch(), decoder_input_ids=answer).numpy()
    return logits


def _onnx_logits(pair: Pair, one: Reading) -> Array:
    embeds, mask = pair.package.embed(one.answer), np.ones_like(one.answer)
    logits: Array = pair.package.decode(embeds, mask, memory=_memory(pair, one), keep=0)[0]
    return logits


def _torch_cached(pair: Pair, one: Reading) -> Array:
    memory, seen = pair.net.remember(**one.torch()), torch.from_numpy(one.mask).bool()
    cache, steps = pair.net.make_cache(ANSWER), []
    for start, end in STEPS:
        embeds = pair.net.embed(torch.from_numpy(one.answer[:, start:end]))
        steps.append(pair.net.logits(pair.net.decode(embeds, None, memory, seen, cache)).numpy())
    return np.concatenate(steps, axis=1)


def _onnx_cached(pair: Pair, one: Reading) -> Array:
    embeds, memory = pair.package.embed(one.answer), _memory(pair, one)
    mask = np.ones_like(one.answer)
    steps, cache = [], None
    for start, end in STEPS:
        logits, cache = pair.package.decode(
            embeds[:, start:end], mask[:, :end], cache, memory=memory, keep=0
        )
        steps.append(logits)
    return np.concatenate(steps, axis=1)
