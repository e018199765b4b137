"""Flamingo and OpenFlamingo: which tokens an image reaches, and rows of a batch with different numbers of images."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from safetensors.torch import save_file  # noqa: E402

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
SPECS = Path(__file__).resolve().parents[2] / "specs"
IMAGE, PAD, NEW = 126, 3, 6
ROWS = ([5, IMAGE, 6, 7, IMAGE, 8, 9, 10], [11, 12, 13], [IMAGE, 14, 15, 16, 17])
IMAGES = (2, 0, 1)  # of each row


@pytest.fixture(params=["flamingo", "open_flamingo", "open_flamingo_4b"], scope="module")
def spec(request):
    return lmmdsl.load(SPECS / f"{request.param}.lmm", variant="tiny")


@pytest.fixture(scope="module")
def net(spec):
    """A random model whose gates are open."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = spec.to_torch().eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return net


@pytest.fixture(scope="module")
def pictures(net, spec):
    channels, *sides = [
        size.value for size in spec.program.root.methods["encode"].nodes[0].types[0].shape[1:]
    ]
    return torch.randn(sum(IMAGES), channels, *sides, generator=torch.Generator().manual_seed(1))


def batch(rows):
    """Ids and mask of rows of different lengths, with padding in front."""
    length = max(map(len, rows))
    ids = torch.tensor([[PAD] * (length - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    return ids, mask.bool()


def greedy(net, row, images):
    """The most likely tokens after one row, each from a run over everything."""
    ids = torch.tensor([row])
    for _ in range(NEW):
        scores = net(ids, images if len(images) else None)
        ids = torch.cat([ids, scores[:, -1:].argmax(-1)], dim=1)
    return ids[0, len(row) :].tolist()


def per_row(pictures):
    return pictures.split(IMAGES)


@torch.inference_mode()
def test_rows_of_a_batch_read_their_own_images(net, pictures):
    ids, mask = batch(ROWS)

    found = net(ids, pictures, attention_mask=mask)

    for row, images, scores in zip(ROWS, per_row(pictures), found, strict=True):
        alone = net(torch.tensor([row]), images if len(images) else None)[0]
        torch.testing.assert_close(scores[-len(row) :], alone, atol=2e-4, rtol=2e-4)


@torch.inference_mode()
def test_an_image_reaches_the_tokens_from_its_own_on(net, pictures):
    ids, other = torch.tensor(ROWS[:1]), pictures[:2].clone()
    other[1] += 1.0

    first, second = net(ids, pictures[:2])[0], net(ids, other)[0]

    same = (first == second).all(dim=-1)
    assert same.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize("count", [0, 1, 3], ids=["none", "too few", "too many"])
def test_images_are_as_many_as_their_places_in_the_text(net, pictures, count):
    ids = torch.tensor(ROWS[:1])
    images = pictures[:count] if count else None

    for run in (net, lambda *given: net.generate(*given, max_new_tokens=1)):
        with pytest.raises(ValueError, match=f"{count} images for 2 placeholders 126"):
            run(ids, images)


@torch.inference_mode()
def test_later_chunks_of_a_prompt_read_images_given_with_the_first(net, pictures):
    ids = torch.tensor(ROWS[:1])
    cache = net.make_cache(8)

    first = net(ids[:, :5], pictures[:2], cache=cache)
    second = net(ids[:, 5:], cache=cache)

    wanted = net(ids, pictures[:2])
    torch.testing.assert_close(torch.cat((first, second), dim=1), wanted, atol=2e-4, rtol=2e-4)


def test_images_in_a_list_are_refused_where_all_are_of_one_size(net, pictures):
    with pytest.raises(TypeError, match="images come as one tensor"):
        net(torch.tensor(ROWS[:1]), list(pictures[:2]))


@torch.inference_mode()
def test_cached_generation_equals_runs_over_everything(net, pictures):
    ids, mask = batch(ROWS)

    made = net.generate(ids, pictures, attention_mask=mask, max_new_tokens=NEW, stop_ids=())

    wanted = [greedy(net, row, images) for row, images in zip(ROWS, per_row(pictures), strict=True)]
    assert made[:, -NEW:].tolist() == wanted


@torch.inference_mode()
def test_cached_generation_of_onnx_equals_runs_over_everything(spec, net, pictures, tmp_path):
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    spec.to_onnx(tmp_path / "package", weights=tmp_path / "weights.safetensors")
    package = Package(tmp_path / "package")
    package.facts["eos_id"] = -1  # go on to the end
    ids, mask = batch(ROWS)

    made = package.generate(ids.numpy(), pictures.numpy(), limit=NEW, mask=mask.long().numpy())

    wanted = [greedy(net, row, images) for row, images in zip(ROWS, per_row(pictures), strict=True)]
    assert made.tolist() == wanted


@pytest.mark.parametrize("is_static", [False, True], ids=["growing cache", "static cache"])
@torch.inference_mode()
def test_steps_remember_images_and_ids(net, pictures, is_static):
    ids = torch.tensor([ROWS[0], [IMAGE, *range(20, 27)]])

    cache = net.make_cache(32)
    found = [net(ids[:, :5], pictures, cache=cache)]
    if is_static:
        cache.make_static()
    found += [net(ids[:, t : t + 1], cache=cache) for t in range(5, ids.shape[1])]

    wanted = net(ids, pictures)
    torch.testing.assert_close(torch.cat(found, dim=1), wanted, atol=2e-4, rtol=2e-4)
