"""Several visual values in one layout: regions beside the image, with inputs of the model's own."""

import pytest
import torch
from safetensors.torch import load_file

import lmmdsl
from lmmdsl.backends.onnx.run import Package
from tests.guards.modules import ROOT


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The module and the package of the small model, its parameters random."""
    torch.manual_seed(1)
    spec = lmmdsl.load(ROOT / "specs" / "ferret.lmm", variant="tiny")
    net = spec.to_torch().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    home = tmp_path_factory.mktemp("package")
    lmmdsl.save_weights(net, home / "model.safetensors")
    spec.to_onnx(home / "onnx", weights=home / "model.safetensors")
    return net, Package(home / "onnx")


IMAGE = [-200] * 16
IDS = torch.tensor([[1, *IMAGE, 5, 127, 6], [1, *IMAGE, 127, 127, 6]])
PIXELS = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(2))
DRAWS = {
    "drawn": torch.rand(3, 20, 2, generator=torch.Generator().manual_seed(3)),
    "at": torch.tensor([0, 1, 1]),
    "first": torch.tensor([[3, 4, 5], [1, 2, 0]]),
}


def test_answers_about_regions_are_those_without_a_cache_and_those_of_the_package(both):
    net, package = both
    made = net.generate(IDS, PIXELS, max_new_tokens=4, stop_ids=(), inputs=DRAWS)
    whole = IDS
    with torch.no_grad():
        for _ in range(4):
            scores = net(whole, PIXELS, **DRAWS)[:, -1]
            whole = torch.cat([whole, scores.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(made, whole)

    feeds = {"pixel_values": PIXELS.numpy(), **{n: x.numpy() for n, x in DRAWS.items()}}
    rows = package.run("encode_regions", feeds)["result"].reshape(3, -1)
    package.facts["eos_id"] = None
    answers = package.generate(IDS.numpy(), PIXELS.numpy(), limit=4, rows={"regions": rows})
    assert answers.tolist() == made[:, -4:].tolist()


def test_a_region_changes_the_answer_of_its_own_row_alone(both):
    net, _ = both
    other = {**DRAWS, "drawn": DRAWS["drawn"].clone()}
    other["drawn"][0] = 1 - other["drawn"][0]
    with torch.no_grad():
        before, after = (net(IDS, PIXELS, **draws)[:, -1] for draws in (DRAWS, other))
    assert not torch.allclose(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_region_tokens_without_regions_are_refused(both):
    net, _ = both
    with pytest.raises(ValueError, match="3 placeholders 127, but nothing to fill them"):
        net(IDS, PIXELS)


def test_prompts_without_regions_need_no_draws(both):
    net, _ = both
    ids = torch.tensor([[1, *IMAGE, 5, 6]])
    assert net(ids, PIXELS[:1]).shape == (1, 19, 128)


def test_points_of_masks_are_those_of_the_reference_given_its_draws(both):
    net, package = both
    io = load_file(ROOT / "tests" / "data" / "goldens" / "ferret-model-a" / "io.safetensors")
    mask = io["in.region_masks_0"].transpose(1, 2).bool().contiguous()  # [R, H, W]
    order, again = torch.zeros(mask.shape), torch.zeros(2, 20)
    for region, places in enumerate(io["in.point_index"]):
        pixels = io["in.region_masks_0"][region].nonzero()  # x, y
        first = places.unique()[
            torch.stack([(places == p).nonzero()[0, 0] for p in places.unique()]).argsort()
        ]
        for rank, place in enumerate(first):
            x, y = pixels[place]
            order[region, y, x] = 1 - rank / 64
        ranks = torch.stack([(first == p).nonzero()[0, 0] for p in places])
        again[region] = (ranks + 0.5) / len(pixels)

    found = net.points_of_masks(mask, order, again)

    assert torch.allclose(found, io["in.points"], atol=1e-7)
    feeds = {"mask": mask.numpy(), "order": order.numpy(), "again": again.numpy()}
    assert (package.run("points_of_masks", feeds)["drawn"] == found.numpy()).all()


def test_points_of_boxes_lie_in_them_each_pixel_once_before_any_comes_again(both):
    net, package = both
    box = torch.tensor([[2, 1, 4, 3], [-3, 4, 2, 9]])  # the second looks out of the picture
    generator = torch.Generator().manual_seed(5)
    order, again = torch.rand(2, 6, 7, generator=generator), torch.rand(2, 20, generator=generator)

    found = net.points_of_boxes(box, order, again)

    pixels = (found * torch.tensor([7, 6])).round().long()  # [R, N, 2]
    wanted = [
        {(x, y) for x in range(2, 5) for y in range(1, 4)},
        {(x, y) for x in range(3) for y in range(4, 6)},
    ]
    for region, each in enumerate(wanted):
        seen = [tuple(pixel) for pixel in pixels[region].tolist()]
        assert set(seen[: len(each)]) == set(seen) == each
    feeds = {"box": box.numpy(), "order": order.numpy(), "again": again.numpy()}
    assert (package.run("points_of_boxes", feeds)["drawn"] == found.numpy()).all()


def test_points_of_a_region_larger_than_the_cloud_are_all_different(both):
    net, _ = both
    order = torch.rand(1, 9, 8, generator=torch.Generator().manual_seed(6))

    found = net.points_of_masks(torch.ones(1, 9, 8).bool(), order, torch.zeros(1, 20))

    assert len(found[0].unique(dim=0)) == 20


def test_the_mask_is_the_third_argument_of_every_model(both):
    net, _ = both
    ids = torch.cat((IDS, torch.zeros(2, 2, dtype=torch.long)), dim=1)
    with torch.no_grad():
        padded = net(ids, PIXELS, ids != 0, **DRAWS)[:, : IDS.shape[1]]
        assert torch.allclose(padded, net(IDS, PIXELS, **DRAWS), atol=1e-5)
