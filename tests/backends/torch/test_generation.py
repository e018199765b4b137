import pytest
import torch

from lmmdsl.backends.torch.generation import Sampler, pad_in_front, place_tokens

IMAGE = 127
LONG = [1, *[IMAGE] * 16, 5, 6, 7, *[IMAGE] * 16, 9]
SHORT = [1, 8, *[IMAGE] * 16, 3, 4]


def batch(side):
    ids = torch.zeros(2, len(LONG), dtype=torch.long)
    mask = torch.zeros_like(ids)
    place = slice(0, len(SHORT)) if side == "right" else slice(len(LONG) - len(SHORT), None)
    ids[0], mask[0] = torch.tensor(LONG), 1
    ids[1, place], mask[1, place] = torch.tensor(SHORT), 1
    return ids, mask


@pytest.fixture
def images():
    return torch.randn(3, 3, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_scores_as_each_prompt_alone(net, images, side):
    ids, mask = batch(side)

    with torch.no_grad():
        scores = net(ids, images, mask)
        alone = net(torch.tensor([SHORT]), images[2:])

    torch.testing.assert_close(scores[1][mask[1].bool()], alone[0], atol=1e-4, rtol=1e-4)
    assert scores.isfinite().all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_generates_as_each_prompt_alone(net, images, side):
    ids, mask = batch(side)

    both = net.generate(ids, images, mask, max_new_tokens=6, stop_ids=[])
    alone = net.generate(torch.tensor([SHORT]), images[2:], max_new_tokens=6, stop_ids=[])

    assert torch.equal(both[1, -6:], alone[0, -6:])
    assert both.shape == (2, len(LONG) + 6)


def test_cached_pieces_score_as_one_prompt(net, images):
    ids = torch.tensor([LONG])
    cache = net.make_cache(40)

    with torch.no_grad():
        pieces = [
            net(ids[:, :20], images[:1], cache=cache),
            net(ids[:, 20:], images[1:2], cache=cache),
        ]
        whole = net(ids, images[:2])

    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-4, rtol=1e-4)


def test_greedy_generation_takes_the_likeliest_each_time(net):
    ids = torch.tensor([[1, 5, 6]])

    result = net.generate(ids, max_new_tokens=5, stop_ids=[])

    with torch.no_grad():
        likeliest = net(result)[0, 2:-1].argmax(-1)
    assert torch.equal(result[0, 3:], likeliest)


def test_only_the_last_scores_are_kept(net):
    with torch.no_grad():
        assert net(torch.tensor([[1, 5, 6]]), logits_to_keep=1).shape == (1, 1, 128)


def test_rows_that_stop_are_filled_with_padding(net):
    ids = torch.tensor([[1, 5, 6], [1, 7, 9]])
    free = net.generate(ids, max_new_tokens=6, stop_ids=[])
    stop = int(free[0, 3])

    result = net.generate(ids, max_new_tokens=6, stop_ids=[stop])

    assert result[0, 3] == stop
    assert (result[0, 4:] == 0).all()


def test_stream_and_callback_give_each_token(net):
    ids, seen = torch.tensor([[1, 5, 6]]), []

    result = net.generate(ids, max_new_tokens=4, stop_ids=[], callback=seen.append)

    assert torch.equal(torch.stack(seen, dim=1), result[:, 3:])
    streamed = torch.stack(list(net.stream(ids, max_new_tokens=4, stop_ids=[])), dim=1)
    assert torch.equal(streamed, result[:, 3:])


def test_sampling_repeats_with_its_seed(net):
    ids = torch.tensor([[1, 5, 6]])
    options = {"max_new_tokens": 12, "temperature": 1.5, "top_k": 50, "top_p": 0.95, "stop_ids": []}

    first, again, other = (net.generate(ids, seed=seed, **options) for seed in (3, 3, 4))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("ids", "with_images", "options", "problem"),
    [
        (SHORT, False, {}, "16 placeholders 127, but nothing to fill them"),
        (LONG, True, {}, "1 x 16 = 16 visual rows for 32 placeholders"),
        ([1, 2], False, {"max_new_tokens": 500}, "do not fit into a context of 256"),
        ([1, 2], False, {"max_new_tokens": 0}, "must be 1 or more"),
        ([1, 2], False, {"temperature": -1.0}, "must be 0 or more"),
        ([1, 2], False, {"temperature": 1.0, "top_k": 0}, "top_k 1 or more"),
        ([1, 2], False, {"top_p": 0.9}, "need a temperature above 0"),
    ],
    ids=[
        "no images",
        "too few images",
        "too long",
        "no tokens",
        "below zero",
        "top 0",
        "greedy",
    ],
)
def test_prompts_that_cannot_work_are_refused(net, images, ids, with_images, options, problem):
    pixels = images[:1] if with_images else None

    with pytest.raises(ValueError, match=problem):
        net.generate(torch.tensor([ids]), pixels, **options)


def test_mask_that_leaves_the_cache_out_is_refused(net):
    cache = net.make_cache(9)
    with torch.no_grad():
        net(torch.tensor([[1, 5, 6]]), cache=cache)

        with pytest.raises(ValueError, match="covers 1 tokens, not 3 in the cache and 1 new ones"):
            net(torch.tensor([[4]]), attention_mask=torch.ones(1, 1), cache=cache)


@pytest.mark.slow
def test_compiled_step_has_no_break_and_never_compiles_again(net):
    ids, mask = torch.tensor([[1, 5, 6], [0, 7, 9]]), torch.tensor([[1, 1, 1], [0, 1, 1]])
    plain = net.generate(ids, attention_mask=mask, max_new_tokens=9, stop_ids=[])

    net.compile_step(backend="aot_eager")

    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(2):
            again = net.generate(ids, attention_mask=mask, max_new_tokens=9, stop_ids=[])
            assert torch.equal(plain, again)


def test_packed_weights_give_the_same_tokens(build, program, images):
    ids, mask = batch("left")
    net = build(program, level=1)
    plain = net.generate(ids, images, mask, max_new_tokens=5, stop_ids=[])

    net.optimize_for_cpu()

    assert torch.equal(net.generate(ids, images, mask, max_new_tokens=5, stop_ids=[]), plain)


def test_padding_moves_to_the_front_in_order():
    ids = torch.tensor([[5, 6, 0, 0], [7, 0, 8, 9]])
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 1]])

    prompts, real = pad_in_front(ids, mask)

    assert prompts.tolist() == [[0, 0, 5, 6], [0, 7, 8, 9]]
    assert real.tolist() == [[False, False, True, True], [False, True, True, True]]


@pytest.mark.parametrize(
    ("mask", "places"),
    [
        ([0, 0, 1, 1, 1], [0, 1, 0, 1, 2]),
        ([1, 1, 1, 0, 0], [0, 1, 2, 3, 4]),
        ([1, 0, 0, 1, 1], [0, 1, 2, 1, 2]),
    ],
    ids=["in front", "behind", "between"],
)
def test_padding_stands_where_it_stands_and_real_tokens_count(mask, places):
    mask = torch.tensor([mask])

    assert place_tokens(mask, mask, None, None)[0].tolist() == [places]


@pytest.mark.parametrize(
    ("top_k", "top_p", "allowed"),
    [(1, None, {3}), (2, None, {3, 1}), (None, 0.5, {3}), (None, 0.8, {3, 1}), (None, 1e-9, {3})],
)
def test_sampler_chooses_among_the_likeliest(top_k, top_p, allowed):
    scores = torch.tensor([[0.1, 0.3, 0.05, 0.55]]).log()
    sampler = Sampler(1.0, top_k, top_p, 0, torch.device("cpu"))

    assert {int(sampler.choose(scores)) for _ in range(60)} == allowed


def test_images_of_another_size_are_refused(net, images):
    smaller = images[:1, :, 1:]

    with pytest.raises(ValueError, match="but the encoder takes"):
        net(torch.tensor([SHORT]), smaller)
