"""Generating text with an emitted model: prompts, sampling, the token-by-token loop.

The emitter copies these classes and functions into its file, as it does those of `runtime`. A model
that generates inherits from `Generation` and has `embed`, `decode`, `logits` and, for images,
`encode`.
Axes: B batch, T tokens of the prompt, S tokens seen so far and now, I images, V vocabulary.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmmdsl.backends.torch.packing import pack_linears
from lmmdsl.backends.torch.runtime import KVCache


class Generation(nn.Module):
    """Text generation for a model with a key/value cache."""

    TOKENS: ClassVar[dict[str, int]]
    CONTEXT: ClassVar[int | None]
    CACHE_ENTRIES: ClassVar[int]
    READS_IDS: ClassVar[bool] = False  # whether `facts` tells what `decode` must know of all ids
    FEATURES: ClassVar[str] = ""  # the argument of `decode` for features that its layers read

    facts: Callable[..., dict[str, Tensor]]
    embed: Callable[..., Tensor]
    decode: Callable[..., Tensor]
    logits: Callable[..., Tensor]
    _compiled_step: Callable[..., Tensor] | None = None
    _kept_cache: KVCache | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Element kind of the parameters."""
        return next(self.parameters()).dtype

    def make_cache(self, size: int) -> KVCache:
        """Make an empty cache for `size` tokens."""
        return KVCache(self.CACHE_ENTRIES, size)

    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        callback: Callable[[Tensor], object] | None = None,
        **options: Any,
    ) -> Tensor:
        """Continue prompts.

        Args:
            input_ids: prompts `[B, T]`.
            pixel_values: images `[I, C, H, W]` in the order of their placeholders.
            attention_mask: `[B, T]`, 0 at padding, which may be on either side.
            callback: is given the new ids `[B]` of each step as soon as they are known.
            options: those of `stream`.

        Returns:
            Prompts, padded in front, and their continuations `[B, T + new]`. Rows that ended
            early are filled with the padding token.
        """
        steps = [self.first_ids(input_ids, attention_mask)]
        for ids in self.stream(input_ids, pixel_values, attention_mask, **options):
            steps.append(ids[:, None])
            if callback is not None:
                callback(ids)
        return torch.cat(steps, dim=1)

    @torch.inference_mode()
    def stream(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop_ids: Collection[int] | None = None,
        inputs: Mapping[str, Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """Yield the ids `[B]` of each new token.

        Args:
            input_ids: prompts `[B, T]`.
            pixel_values: images `[I, C, H, W]` in the order of their placeholders.
            attention_mask: `[B, T]`, 0 at padding, which may be on either side.
            max_new_tokens: when to stop at the latest (256, or where the context ends, if not
                given).
            temperature: 0 takes the most likely token, 1 samples as the model says.
            top_k: sample among the k most likely tokens.
            top_p: sample among the most likely tokens that together have this probability.
            seed: makes sampling repeatable.
            stop_ids: tokens that end a row (the model's own end token, if not given).
            inputs: what the model takes beside images, by name.

        Raises:
            ValueError: the context is too short, or images and placeholders do not match.
        """
        if stop_ids is None:
            stop_ids = [self.TOKENS["eos"]] if "eos" in self.TOKENS else []
        stops = torch.tensor(list(stop_ids), dtype=input_ids.dtype, device=input_ids.device)
        filler = self.TOKENS.get("pad", self.TOKENS.get("eos", 0))
        sampler = Sampler(temperature, top_k, top_p, seed, input_ids.device)
        done = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)  # [B]
        run, count = self.begin(input_ids, pixel_values, attention_mask, max_new_tokens)
        scores = run.start(pixel_values, inputs or {})  # [B, V]
        for left in reversed(range(count)):
            ids = sampler.choose(scores).masked_fill(done, filler)  # [B]
            yield ids
            done = done | torch.isin(ids, stops)
            if not left or (len(stops) and bool(done.all())):
                return
            scores = run.step(ids)

    def first_ids(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """What stands in front of the new tokens: the prompts, padded in front."""
        return pad_in_front(input_ids, attention_mask)[0]

    def begin(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        wanted: int | None,
    ) -> "tuple[Continuation, int]":
        """The run of generation behind prompts, and how many tokens it makes at most."""
        prompts, real = pad_in_front(input_ids, attention_mask)
        count = self._room(prompts.shape[1], wanted)
        return Continuation(self, prompts, real, prompts.shape[1] + count), count

    def _room(self, used: int, wanted: int | None) -> int:
        """How many tokens to generate after a prompt of `used` tokens."""
        if wanted is not None and wanted < 1:
            raise ValueError(f"max_new_tokens is {wanted}, but must be 1 or more")
        room = wanted or 256 if self.CONTEXT is None else self.CONTEXT - used
        if room < (wanted or 1):
            raise ValueError(
                f"a prompt of {used} tokens and {wanted or 1} new ones do not fit"
                f" into a context of {self.CONTEXT}"
            )
        return wanted or min(256, room)

    def step(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        cache: KVCache,
        facts: dict[str, Tensor],
    ) -> Tensor:
        """Feed one token per row `[B, 1]`; gives the scores of the next one `[B, V]`."""
        embeds = self.embed(input_ids)
        hidden = self.decode(embeds, attention_mask=attention_mask, cache=cache, **facts)
        return self.logits(hidden[:, -1])

    def compile_step(self, **options: Any) -> None:
        """Compile the one-token step of generation, which then works on a cache of fixed shape.

        Args:
            options: those of `torch.compile`. On a GPU `mode="reduce-overhead"` is fastest. On a
                CPU it is `options={"freezing": True, "max_autotune": True}`, which takes a minute
                or two and keeps its own copy of the weights: load them first.
        """
        step = torch.compile(self.step, fullgraph=True, dynamic=False, **options)
        self._compiled_step = step
        if (options.get("options") or {}).get("freezing"):
            self._compiled_step = self._freezing(step)

    def _freezing(self, step: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Let a compiled step treat weights as constants; the tracer reads this globally."""

        def run(*inputs: Any) -> Tensor:
            with torch._inductor.config.patch(freezing=True):
                return step(*inputs)

        return run

    def optimize_for_cpu(self) -> None:
        """Pack the weights of all linear layers for oneDNN's kernels; for inference only.

        Packed weights leave the state dict, and cannot be trained, moved or saved.
        """
        pack_linears(self)


class Continuation:
    """One run of generation: its cache, its mask, and how far each row is."""

    def __init__(self, net: Generation, prompts: Tensor, real: Tensor | None, total: int) -> None:
        self.net = net
        self.prompts = prompts
        self.real = real
        self.width = prompts.shape[1]
        self.cache = self._make_cache(total)
        ends = self.width if real is None else real.sum(1, keepdim=True)
        self.positions = torch.zeros_like(prompts[:, :1]) + ends  # [B, 1]
        room = self.cache.size - self.width
        self.ids = F.pad(prompts, (0, room)) if net.READS_IDS else None  # [B, size]
        self.mask = None if real is None else F.pad(real, (0, room), value=True)  # [B, size]

    def start(self, pixel_values: Tensor | None, inputs: Mapping[str, Tensor]) -> Tensor:
        """Read the prompts; gives the scores of the first new token `[B, V]`."""
        images = dict(inputs) if pixel_values is None else {"pixel_values": pixel_values, **inputs}
        scores: Tensor = self.net(
            self.prompts, attention_mask=self.real, cache=self.cache, logits_to_keep=1, **images
        )
        if self.net._compiled_step is not None:
            self.cache.make_static()
        return scores[:, -1]

    def step(self, ids: Tensor) -> Tensor:
        """Feed the ids `[B]` of a step; gives the scores of the next one `[B, V]`."""
        facts = self._facts(ids)
        step, mask = self.net._compiled_step, self.mask
        if step is None:
            step, mask = self.net.step, None if mask is None else mask[:, : self.width]
        return step(ids[:, None], mask, self.cache, facts)

    def _facts(self, ids: Tensor) -> dict[str, Tensor]:
        """Take in new ids `[B]`; gives what decoding must know of them."""
        if self.ids is None:
            facts = {"position_ids": self.positions}
            self.positions = self.positions + 1
        else:
            self.ids[:, self.width] = ids
            real = None if self.mask is None else self.mask[:, : self.width + 1]
            facts = self.net.facts(self.ids[:, : self.width + 1], real, 1)
        self.width += 1
        if self.net.FEATURES and self.cache.source is not None:
            facts[self.net.FEATURES] = self.cache.source
        return facts

    def _make_cache(self, total: int) -> KVCache:
        if self.net._compiled_step is None:
            return self.net.make_cache(total)
        # A compiled step is made for one size and one place in memory, so the cache is kept.
        kept, size = self.net._kept_cache, -(-total // 256) * 256
        if kept is None or kept.size != size or kept.batch != self.prompts.shape[0]:
            kept = self.net._kept_cache = self.net.make_cache(size)
        kept.rewind()
        return kept


class Sampler:
    """Chooses tokens by their scores."""

    def __init__(
        self,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
        device: torch.device,
    ) -> None:
        if temperature < 0 or (top_k is not None and top_k < 1):
            raise ValueError("temperature must be 0 or more, top_k 1 or more")
        if not temperature and (top_k is not None or top_p is not None):
            raise ValueError("top_k and top_p need a temperature above 0")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.generator = None if seed is None else torch.Generator(device).manual_seed(seed)

    def choose(self, scores: Tensor) -> Tensor:
        """Give one id per row `[B]` of `[B, V]`."""
        if not self.temperature:
            return scores.argmax(-1)
        scores = scores.float() / self.temperature
        if self.top_k is not None:
            least = scores.topk(min(self.top_k, scores.shape[-1])).values[:, -1:]  # [B, 1]
            scores = scores.masked_fill(scores < least, float("-inf"))
        if self.top_p is not None:
            scores = self._nucleus(scores, self.top_p)
        return torch.multinomial(scores.softmax(-1), 1, generator=self.generator)[:, 0]

    def _nucleus(self, scores: Tensor, share: float) -> Tensor:
        ordered, order = scores.sort(descending=True)
        chances = ordered.softmax(-1)
        # A token goes when those before it already have the share; the first one always stays.
        drop = chances.cumsum(-1) - chances >= share
        drop[:, 0] = False
        drop = torch.zeros_like(drop).scatter(1, order, drop)
        return scores.masked_fill(drop, float("-inf"))


def pad_in_front(input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Move the padding of prompts `[B, T]` to the front, so that all of them end together.

    Returns:
        The prompts, and which tokens are real, bool `[B, T]`, or None when all are.
    """
    if attention_mask is None or bool(attention_mask.all()):
        return input_ids, None
    real = attention_mask.bool()
    order = real.long().argsort(dim=1, stable=True)
    return input_ids.gather(1, order), real.gather(1, order)


def place_tokens(
    input_ids: Tensor,
    attention_mask: Tensor | None,
    position_ids: Tensor | None,
    cache: KVCache | None,
) -> tuple[Tensor, Tensor | None]:
    """Positions of the tokens `[B, T]`, and which of all tokens are real, bool `[B, S]`.

    Real tokens are counted from 0, or from the end of the cache, and padding stands where it
    stands; the mask covers the cache too. It is dropped where it hides nothing.
    """
    batch, tokens = input_ids.shape
    if attention_mask is None:
        if position_ids is None:
            steps = torch.arange(tokens, device=input_ids.device)
            steps = steps if cache is None else cache.positions(tokens, input_ids.device)
            position_ids = steps.expand(batch, tokens)
        return position_ids, None
    past = 0 if cache is None or cache.position is not None else cache.length
    if attention_mask.shape[1] < past + tokens:
        raise ValueError(
            f"the attention mask covers {attention_mask.shape[1]} tokens,"
            f" not {past} in the cache and {tokens} new ones"
        )
    if position_ids is None:
        steps = torch.arange(attention_mask.shape[1], device=input_ids.device)
        counts = attention_mask.long().cumsum(1) - 1
        position_ids = torch.where(attention_mask.bool(), counts, steps)[:, -tokens:]
    if torch.compiler.is_compiling() or attention_mask.is_meta or not attention_mask.all():
        return position_ids, attention_mask.bool()
    return position_ids, None


def recall(
    features: Tensor | None, cache: KVCache | None, embeds: Tensor, shape: tuple[int, ...]
) -> Tensor:
    """Features `[I, N, D]` for layers that read them: those given, or those of an earlier step.

    Where there are none, one blank image `[1, *shape]` stands in, which no token sees.
    """
    if features is None and cache is not None:
        features = cache.source
    return embeds.new_zeros(1, *shape) if features is None else features
