"""VisualGLM's tokens: what its language model is told of them, and what it generates."""

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from lmmdsl.backends.onnx.run import Package  # noqa: E402
from lmmdsl.driver.products import build_module, save_weights, write_onnx  # noqa: E402
from tests.support.programs import shipped  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
PAD, IMAGE, MASK, GMASK, BOS = 3, -200, 100, 101, 104
# A question, an image in one, a gap to fill with words behind it, and an answer that has begun.
ROWS = {
    "question": [7, 8, 9, GMASK, BOS],
    "image": [5, *[IMAGE] * 5, 6, GMASK, BOS, 11],
    "gap": [7, MASK, 8, 9, BOS, 12, 13],
    "general wins": [7, MASK, 8, GMASK, 9, BOS, 12],
    "no answer yet": [7, 8, GMASK],
}
PLACES = {
    "question": ([0, 1, 2, 3, 3], [0, 0, 0, 0, 1]),
    "image": ([0, 1, 2, 3, 4, 5, 6, 7, 7, 7], [0, 0, 0, 0, 0, 0, 0, 0, 1, 2]),
    "gap": ([0, 1, 2, 3, 1, 1, 1], [0, 0, 0, 0, 1, 2, 3]),
    "general wins": ([0, 1, 2, 3, 4, 3, 3], [0, 0, 0, 0, 0, 1, 2]),
    "no answer yet": ([0, 1, 2], [0, 0, 0]),
}
PREFIX = {"question": 4, "image": 8, "gap": 4, "general wins": 5, "no answer yet": 0}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The module and the ONNX package, with the same weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    program, home = shipped("visualglm_6b", "tiny"), tmp_path_factory.mktemp("glm")
    net = build_module(program).eval()
    save_weights(net, home / "model.safetensors")
    write_onnx(program, home, weights=home / "model.safetensors")
    return net, Package(home)


def padded(names):
    """Rows with padding in front: ids and mask `[B, T]`."""
    length = max(len(ROWS[name]) for name in names)
    rows = [[PAD] * (length - len(ROWS[name])) + ROWS[name] for name in names]
    mask = [[0] * (length - len(ROWS[name])) + [1] * len(ROWS[name]) for name in names]
    return np.array(rows), np.array(mask)


@pytest.mark.parametrize("name", ROWS)
def test_positions_and_prefix_of_one_prompt(both, name):
    net, package = both
    ids, mask = padded([name])

    ours = net.facts(torch.from_numpy(ids), None, ids.shape[1])
    theirs = package.arrange(ids, mask)

    for facts in (ours, theirs):
        assert facts["position_ids"].tolist() == [list(PLACES[name])]
        assert facts["prefix"].tolist() == [PREFIX[name]]


def test_padding_in_front_moves_the_prefix_and_no_position(both):
    net, package = both
    ids, mask = padded(ROWS)
    length = ids.shape[1]

    ours = net.facts(torch.from_numpy(ids), torch.from_numpy(mask), 3)
    theirs = package.arrange(ids, mask)

    wanted = [[channel[-3:] for channel in PLACES[name]] for name in ROWS]
    assert ours["position_ids"].tolist() == wanted
    assert theirs["position_ids"][..., -3:].tolist() == wanted
    moved = [
        PREFIX[name] + length - len(ROWS[name]) if PREFIX[name] else 0 for name in ROWS
    ]  # where nothing begins an answer, each token sees those before it
    assert ours["prefix"].tolist() == theirs["prefix"].tolist() == moved


@pytest.mark.parametrize("names", [["question"], ["image"], ["gap", "image", "question"]], ids=str)
def test_generation_with_a_cache_takes_the_most_likely_of_the_whole_sequence(both, names):
    net, package = both
    ids, mask = padded(names)
    images = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    images = images if "image" in names else None
    given = {} if images is None else {"pixel_values": images}
    whole, real = torch.from_numpy(ids), torch.from_numpy(mask)
    with torch.inference_mode():
        for _ in range(6):
            following = net(whole, attention_mask=real, **given)[:, -1].argmax(-1, keepdim=True)
            whole = torch.cat((whole, following), dim=1)
            real = torch.cat((real, torch.ones_like(following)), dim=1)

    ours = net.generate(
        torch.from_numpy(ids), images, torch.from_numpy(mask), max_new_tokens=6, stop_ids=()
    )
    package.facts["eos_id"] = None
    pixels = None if images is None else images.numpy()
    theirs = package.generate(ids, pixels, limit=6, mask=mask)

    assert torch.equal(ours, whole)
    assert theirs.tolist() == whole[:, -6:].tolist()


def test_compiled_steps_know_the_same_of_their_tokens(both):
    net, _ = both
    ids, mask = map(torch.from_numpy, padded(["question", "gap"]))
    plain = net.generate(ids, attention_mask=mask, max_new_tokens=5, stop_ids=())

    net.compile_step(backend="aot_eager")
    compiled = net.generate(ids, attention_mask=mask, max_new_tokens=5, stop_ids=())
    net._compiled_step = None

    assert torch.equal(plain, compiled)


def test_pieces_of_a_prompt_are_told_what_the_whole_is(both):
    net, package = both
    ids, mask = padded(["gap"])
    cache, tokens = net.make_cache(10), torch.from_numpy(ids)
    with torch.inference_mode():
        whole = net(tokens)
        # The prefix is read at once; what follows may come in pieces.
        pieces = [net(tokens[:, a:b], cache=cache) for a, b in ((0, 5), (5, 6), (6, 7))]
    embeds = package.embed(ids)
    first, past = package.decode(embeds[:, :5], mask[:, :5], ids=ids[:, :5], keep=0)
    second, _ = package.decode(embeds[:, 5:], mask, past, ids=ids, keep=0)

    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, atol=1e-4)


def test_a_cache_whose_ids_are_not_known_is_refused(both):
    net, _ = both
    ids, _ = map(torch.from_numpy, padded(["question"]))
    cache = net.make_cache(10)
    with torch.inference_mode():
        facts = net.facts(ids, None, 5)
        net.decode(net.embed(ids), attention_mask=None, cache=cache, **facts)

        with pytest.raises(ValueError, match="ids of 0 of them"):
            net(ids[:, :1], cache=cache)


def test_a_package_that_counts_by_ids_wants_them(both):
    _, package = both
    ids, mask = padded(["question"])

    with pytest.raises(ValueError, match="depends on ids"):
        package.decode(package.embed(ids), mask)
