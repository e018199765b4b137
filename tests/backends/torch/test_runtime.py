import pytest
import torch

from lmmdsl.backends.torch.runtime import (
    KVCache,
    attend,
    rotary,
    rotate,
    rotate_interleaved,
    splice,
)

B, H, G, T, S, D = 2, 6, 3, 5, 7, 8


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(q, k, v, allowed=None, bias=None, scale=None):
    """Attention from its definition, with repeated heads."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    scores = q @ k.transpose(2, 3) * (scale or q.shape[-1] ** -0.5)
    scores = scores if bias is None else scores + bias
    scores = scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(-1) @ v


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 3, 6])
@pytest.mark.parametrize("tokens", [1, T])
def test_attend_shares_key_heads(groups, tokens):
    q, k, v = draw(B, H, tokens, D), draw(B, groups, S, D, seed=1), draw(B, groups, S, 4, seed=2)

    close(attend(q, k, v), reference(q, k, v))


@pytest.mark.parametrize("tokens", [1, T, S])
def test_attend_causal_puts_queries_at_the_end(tokens):
    q, k, v = draw(B, H, tokens, D), draw(B, G, S, D, seed=1), draw(B, G, S, D, seed=2)
    allowed = torch.ones(tokens, S, dtype=torch.bool).tril(S - tokens)

    close(attend(q, k, v, causal=True), reference(q, k, v, allowed))


@pytest.mark.parametrize("tokens", [1, T])
def test_attend_joins_all_limits(tokens):
    q, k, v = draw(B, H, tokens, D), draw(B, G, S, D, seed=1), draw(B, G, S, D, seed=2)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[1, 2:4] = False
    mask = draw(B, tokens, S, seed=3) > -0.5
    mask[..., 0] = True
    bias = draw(H, tokens, S, seed=4)

    result = attend(q, k, v, keys=keys, mask=mask, bias=bias, scale=0.3)

    close(result, reference(q, k, v, keys[:, None, None] & mask[:, None], bias, 0.3))


def test_attend_row_that_sees_nothing_is_finite():
    q, k, v = draw(B, H, T, D), draw(B, G, T, D, seed=1), draw(B, G, T, D, seed=2)
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[1, :3] = False

    result = attend(q, k, v, keys=keys, causal=True)

    assert result.isfinite().all()


@pytest.mark.parametrize("static", [False, True], ids=["dynamic", "static"])
def test_cached_attention_equals_one_pass(static):
    q, k, v = draw(B, H, S, D), draw(B, G, S, D, seed=1), draw(B, G, S, D, seed=2)
    cache, results = KVCache(1, 11), []

    for start, stop in ((0, 4), (4, 6), (6, 7)):
        piece = [x[:, :, start:stop] for x in (q, k, v)]
        results.append(attend(*piece, causal=True, cache=cache, layer=0))
        cache.advance(stop - start)
        if static and cache.position is None:
            cache.make_static()

    close(torch.cat(results, dim=2), attend(q, k, v, causal=True))


def test_cache_that_is_full_says_so():
    cache = KVCache(1, 4)

    with pytest.raises(ValueError, match="5 tokens do not fit into a cache of 4"):
        cache.update(0, draw(1, 1, 5, 2), draw(1, 1, 5, 2))


def test_rotation_keeps_lengths_and_depends_on_distance():
    x = draw(1, 1, 1, D).expand(1, 1, 4, D)
    cos, sin = rotary(torch.tensor([[3, 5, 10, 12]]), D, 10000.0)

    turned = rotate(x, cos, sin)[0, 0]

    close(turned.norm(dim=-1), x[0, 0].norm(dim=-1))
    close(turned[0] @ turned[1], turned[2] @ turned[3])


def test_interleaved_rotation_is_half_rotation_of_sorted_channels():
    x = draw(B, H, T, D)
    cos, sin = rotary(torch.arange(T).expand(B, T), D, 100.0)
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    close(rotate_interleaved(x, cos, sin)[..., order], rotate(x[..., order], cos, sin))


@pytest.mark.parametrize("turn", [rotate, rotate_interleaved])
def test_rotation_leaves_further_channels(turn):
    x = draw(B, H, T, D)
    cos, sin = rotary(torch.arange(T).expand(B, T), 4, 100.0)

    result = turn(x, cos, sin)

    assert torch.equal(result[..., 4:], x[..., 4:])
    close(result[..., :4], turn(x[..., :4], cos, sin))


def test_splice_fills_placeholders_row_by_row():
    at = torch.tensor([[False, True, True], [True, False, True]])
    rows = torch.arange(8.0).view(2, 2, 2)

    result = splice(torch.zeros(2, 3, 2), at, rows)

    assert torch.equal(result[at], rows.flatten(0, 1))


def test_splice_with_other_counts_names_them():
    at = torch.tensor([[True, True, True]])

    with pytest.raises(ValueError, match="2 x 2 = 4 visual rows for 3 placeholders"):
        splice(torch.zeros(1, 3, 2), at, torch.zeros(2, 2, 2))
