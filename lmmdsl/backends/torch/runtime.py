"""What emitted modules compute with beside torch: attention with a cache, rotary positions.

The emitter copies the functions and classes that a model needs into its file, so nothing here may
import more than torch and the standard library, and nothing may depend on a model.
Axes: B batch, h query heads, g key/value heads, T tokens of this step, S tokens seen so far and
now, d head width, R rotated pairs of a head.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class KVCache:
    """Keys and values of earlier tokens, one entry per cached attention, and what is kept of the rest.

    Buffers `[B, g, size, d]` are made when an entry is first written. A dynamic cache gives views
    of the slots in use, and `length` says how many that is. A static cache (for compiled steps)
    gives whole buffers, writes at `position`, a tensor, and `visible` tells which slots count: no
    shape changes from step to step.
    """

    def __init__(self, entries: int, size: int) -> None:
        self.size = size
        self.length = 0
        self.position: Tensor | None = None
        self._counter: Tensor | None = None
        self._ids: Tensor | None = None
        self.source: Tensor | None = None  # what the layers read beside tokens
        self.kept: list[Any] = [None] * entries  # what follows from that alone
        self.keys: list[Tensor | None] = [None] * entries
        self.values: list[Tensor | None] = [None] * entries

    def update(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values `[B, g, T, d]`; gives all of them `[B, g, S, d]`."""
        if self.keys[layer] is None:
            self.keys[layer] = k.new_zeros(*k.shape[:2], self.size, k.shape[3])
            self.values[layer] = v.new_zeros(*v.shape[:2], self.size, v.shape[3])
        keys, values = self.keys[layer], self.values[layer]
        assert keys is not None
        assert values is not None
        if self.position is not None:
            slots = self.position + torch.arange(k.shape[2], device=k.device)  # [T]
            return keys.index_copy_(2, slots, k), values.index_copy_(2, slots, v)
        end = self.length + k.shape[2]
        if end > self.size:
            raise ValueError(f"{end} tokens do not fit into a cache of {self.size}")
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def remember(self, ids: Tensor) -> Tensor:
        """Note the ids of new tokens `[B, T]`; gives those of all tokens `[B, S]`.

        Raises:
            ValueError: tokens were stored whose ids were not noted.
        """
        known = 0 if self._ids is None else self._ids.shape[1]
        stored = self.length if self.position is None else int(self.position)
        if known < stored:
            raise ValueError(f"the cache holds {stored} tokens, but ids of {known} of them")
        if self._ids is not None and stored:
            ids = torch.cat((self._ids[:, :stored], ids), dim=1)
        self._ids = ids
        return ids

    def look_at(self, source: Tensor) -> None:
        """From here on layers read this; what was kept of another source is forgotten."""
        if self.source is not source:
            self.source = source
            self.kept = [None] * len(self.kept)

    def advance(self, tokens: int) -> None:
        """Count the tokens of a step, after all entries have stored them."""
        if self.position is not None:
            self.position.add_(tokens)
        else:
            self.length += tokens

    def positions(self, tokens: int, device: torch.device) -> Tensor:
        """Positions of the next tokens `[T]`."""
        steps = torch.arange(tokens, device=device)
        return steps + (self.length if self.position is None else self.position)

    def visible(self, tokens: int) -> Tensor:
        """Which slots of a static cache each new token sees: bool `[T, size]`."""
        assert self.position is not None
        device = self.position.device
        return torch.arange(self.size, device=device) <= self.positions(tokens, device)[:, None]

    def make_static(self) -> None:
        """From here on, keep all shapes fixed."""
        buffers = [buffer for buffer in (*self.keys, *self.values) if buffer is not None]
        if self._counter is None:
            self._counter = torch.zeros((), dtype=torch.long, device=buffers[0].device)
            for buffer in (self._counter, *buffers):
                torch._dynamo.mark_static_address(buffer)
        self.position = self._counter.fill_(self.length)

    def rewind(self) -> None:
        """Forget all tokens, keep the buffers."""
        self.length = 0
        self.position = self.source = None
        self.kept = [None] * len(self.kept)

    @property
    def batch(self) -> int | None:
        """Number of rows, once something is stored."""
        return next((keys.shape[0] for keys in self.keys if keys is not None), None)


def once(
    cache: KVCache | None, entry: int, compute: Callable[..., Any], *inputs: Tensor | None
) -> Any:
    """What `compute` gives for inputs that stay the same from step to step: a cache keeps it."""
    if cache is None:
        return compute(*inputs)
    if cache.kept[entry] is None:
        cache.kept[entry] = compute(*inputs)
    return cache.kept[entry]


def routed(
    mask: Tensor, x: Tensor, one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]
) -> Tensor:
    """`one` of the tokens of a mask, `other` of the rest: each computes its own tokens only.

    Args:
        mask: bool `[...]`.
        x: tokens `[..., D]`.
        one: takes tokens `[n, D]` to `[n, E]`.
        other: the same.

    Returns:
        `[..., E]`.
    """
    if torch.compiler.is_compiling() or x.is_meta:  # sizes may not depend on what tokens are
        return torch.where(mask.unsqueeze(-1), one(x), other(x))
    if not torch.is_grad_enabled() and not mask.any():  # as in most steps; in training each learns
        return other(x)
    first, second = one(x[mask]), other(x[~mask])
    result = first.new_empty(*mask.shape, first.shape[-1])
    result[mask], result[~mask] = first, second
    return result


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    keys: Tensor | None = None,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    prefix: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
    cache: KVCache | None = None,
    layer: int = 0,
) -> Tensor:
    """Scaled dot-product attention.

    Args:
        q: `[B, h, T, d]`.
        k: `[B, g, S, d]`, where g divides h.
        v: `[B, g, S, e]`.
        keys: bool `[B, S]`, which keys are real; those of padding are not.
        mask: bool `[B, T, S]`, which keys each query sees.
        bias: added to the scores, `[..., T, S]`.
        prefix: int `[B]`, how many tokens at the front every token of a row sees, though `causal`.
        causal: whether a token sees only itself and what is before it; the last query is the last
            key.
        scale: factor of the scores, d ** -0.5 if not given.
        cache: earlier keys and values, and where the new ones go.
        layer: entry of the cache.

    Returns:
        `[B, h, T, e]`; rows of queries that see nothing are finite.
    """
    heads, tokens = q.shape[1:3]
    slots = None
    if cache is not None:
        k, v = cache.update(layer, k, v)
        slots = cache.visible(tokens) if cache.position is not None else None  # [T, S]
    groups, seen = k.shape[1:3]
    limits = (keys, mask, bias, prefix, slots)
    whole = tokens == seen and all(limit is None for limit in limits)
    if causal and whole:
        return _grouped_attention(q, k, v, None, scale, causal=True)
    if causal and slots is None and tokens > 1:
        slots = torch.ones(tokens, seen, dtype=torch.bool, device=q.device).tril(seen - tokens)
    if prefix is not None and tokens > 1:  # a single new token sees all earlier ones anyway
        early = torch.arange(seen, device=q.device) < prefix[:, None]  # [B, S]
        slots = early[:, None, None] if slots is None else slots | early[:, None, None]
    allowed = _allowed(keys, mask, slots)
    if bias is not None:
        allowed = bias.to(q.dtype) if allowed is None else _biased(bias.to(q.dtype), allowed)
    alike = allowed is None or allowed.dim() < 4 or allowed.shape[1] == 1
    if tokens == 1 and heads != groups and alike:
        # The query heads of one key/value head become its query tokens: nothing is copied.
        rows = q.reshape(q.shape[0], groups, heads // groups, q.shape[3])  # [B, g, h/g, d]
        result = F.scaled_dot_product_attention(rows, k, v, attn_mask=allowed, scale=scale)
        return result.reshape(q.shape[0], heads, 1, v.shape[3])
    return _grouped_attention(q, k, v, allowed, scale, causal=False)


def _allowed(keys: Tensor | None, mask: Tensor | None, slots: Tensor | None) -> Tensor | None:
    """Join what limits visibility: bool, broadcastable to [B, 1, T, S]."""
    limits = [
        None if mask is None else mask[:, None],
        None if keys is None else keys[:, None, None],
    ]
    allowed = slots
    for limit in limits:
        if limit is not None:
            allowed = limit if allowed is None else limit & allowed
    if (mask is None and keys is None) or allowed is None:
        return allowed
    # A query that sees nothing (padding in front) sees everything instead: its row is finite and
    # never read.
    return allowed | ~allowed.any(-1, keepdim=True)


def _biased(bias: Tensor, allowed: Tensor) -> Tensor:
    return bias.masked_fill(~allowed, float("-inf"))


def _grouped_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float | None, *, causal: bool
) -> Tensor:
    repeats = q.shape[1] // k.shape[1]
    shared = repeats > 1
    if shared and mask is not None and q.is_cuda:
        # The fused kernels of CUDA share key/value heads only without a mask.
        k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        shared = False
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=shared
    )


def rotary(positions: Tensor, dim: int, theta: float | Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of positions: `[..., dim / 2]` each, in float32.

    Source: arXiv 2104.09864 equation 15.
    """
    steps = torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32)
    angles = positions[..., None].float() * (1.0 / theta ** (steps / dim))  # [..., R]
    return angles.cos(), angles.sin()


def stretch_base(theta: float, stretch: Tensor, dim: int) -> Tensor:
    """The base of rotary positions for sequences `stretch` times as long as those of training.

    Source: arXiv 2309.00071 section 3.1.
    """
    return theta * stretch.float() ** (dim / (dim - 2))


def count_seen(keys: Tensor | None, tokens: int, cache: KVCache | None) -> int | Tensor:
    """Tokens seen so far and now, where `keys` `[B, S]` may be absent; a tensor in compiled steps."""
    if cache is not None:
        return tokens + (cache.length if cache.position is None else cache.position)
    return tokens if keys is None else keys.shape[1]


def count_slots(keys: Tensor | None, tokens: int, cache: KVCache | None) -> int | Tensor:
    """Keys that attention gets: tokens seen so far and now, or all slots of a static cache."""
    if cache is not None and cache.position is not None:
        return cache.size
    return count_seen(keys, tokens, cache)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate channels i and i + R of each head `[B, h, T, d]` by angle i of `[B, T, R]`."""
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)  # [B, 1, T, R]
    pairs = cos.shape[-1]
    left, right = x[..., :pairs], x[..., pairs : 2 * pairs]  # [B, h, T, R]
    first = torch.addcmul(left * cos, right, sin, value=-1)
    second = torch.addcmul(right * cos, left, sin)
    if 2 * pairs == x.shape[-1]:
        return torch.cat((first, second), dim=-1)
    return torch.cat((first, second, x[..., 2 * pairs :]), dim=-1)


def rotate_interleaved(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate channels 2 i and 2 i + 1 of each head `[B, h, T, d]` by angle i of `[B, T, R]`."""
    cos, sin = cos[:, None].to(x.dtype), sin[:, None].to(x.dtype)  # [B, 1, T, R]
    width = 2 * cos.shape[-1]
    left, right = x[..., 0:width:2], x[..., 1:width:2]  # [B, h, T, R]
    first = torch.addcmul(left * cos, right, sin, value=-1)
    second = torch.addcmul(right * cos, left, sin)
    turned = torch.stack((first, second), dim=-1).flatten(-2)
    return turned if width == x.shape[-1] else torch.cat((turned, x[..., width:]), dim=-1)


def farthest_points(points: Tensor, first: Tensor, count: int) -> Tensor:
    """Places `[R, count]` of points `[R, N, D]`, each as far as possible from those before it.

    The first `[R]` are given; of points equally far the first is taken.

    Source: arXiv 1706.02413 section 3.2.
    """
    nearest = points.new_full(points.shape[:2], float("inf"))  # [R, N], to what is taken
    rows = torch.arange(len(points), device=points.device)
    places = [first]
    for _ in range(count - 1):
        away = (points - points[rows, places[-1]][:, None]).square().sum(-1)  # [R, N]
        nearest = torch.minimum(nearest, away)
        places.append(nearest.argmax(-1))
    return torch.stack(places, dim=1)


def largest(x: Tensor, k: int, dim: int = -1) -> tuple[Tensor, Tensor]:
    """The k largest along an axis in falling order, and their places; of equals the first come first.

    `topk` gives equals in an order of its own.
    """
    values, places = x.sort(dim=dim, descending=True, stable=True)
    return values.narrow(dim, 0, k), places.narrow(dim, 0, k)


def position_bucket(relative: Tensor, near: int, far: tuple[int, ...], *, both: bool) -> Tensor:
    """Bucket of each relative position (key minus query): int, of the same shape.

    Distances up to `near` have a bucket each; `far` are the smallest distances of the buckets
    behind them. `both` tells before and after apart, else what comes after is at distance 0.

    Source: arXiv 1910.10683 section 2.1.
    """
    distance = relative.abs() if both else (-relative).clamp(min=0)
    starts = torch.tensor([*range(1, near + 1), *far], device=relative.device)
    bucket = torch.bucketize(distance, starts, right=True)
    return bucket + (len(starts) + 1) * (relative > 0) if both else bucket


def splice(embeds: Tensor, at: Tensor, rows: Tensor | None) -> Tensor:
    """Put visual rows where the prompt has placeholders.

    Args:
        embeds: `[B, T, D]`.
        at: bool `[B, T]`, the placeholders; row by row of the batch they take the next visual row.
        rows: `[I, N, D]`, N rows for each of I images; None gives `embeds` as it is.

    Raises:
        ValueError: there are not as many placeholders as rows.
    """
    if rows is None:
        return embeds
    if not torch.compiler.is_compiling() and not at.is_meta:
        found, given = int(at.sum()), rows[..., 0].numel()
        if found != given:
            shape = " x ".join(str(size) for size in rows.shape[:-1])
            raise ValueError(f"{shape} = {given} visual rows for {found} placeholders")
    return embeds.masked_scatter(at[..., None], rows.to(embeds.dtype))


def quick_gelu(x: Tensor) -> Tensor:
    """Compute x * sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)
