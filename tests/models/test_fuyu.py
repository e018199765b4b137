"""Pictures of several sizes in one call, where the encoder takes any size."""

import pytest
import torch

import lmmdsl
from tests.guards.modules import ROOT

PATCH, NEWLINE = 10, 18


@pytest.fixture(scope="module")
def net():
    """The small Fuyu, its parameters random."""
    torch.manual_seed(1)
    net = lmmdsl.load(ROOT / "specs" / "fuyu_8b.lmm", variant="tiny").to_torch().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def grid(rows, columns):
    """Ids of a picture."""
    return ([PATCH] * columns + [NEWLINE]) * rows


WIDE = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(2))
SMALL = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(3))
BOTH = torch.tensor([[*grid(2, 3), 1, 40, *grid(1, 1), 6]])


def test_single_images_in_a_list_are_batches_of_one(net):
    with torch.inference_mode():
        assert torch.equal(net(BOTH, [WIDE[0], SMALL[0]]), net(BOTH, [WIDE, SMALL]))


def test_a_row_with_pictures_beside_one_without_answers_as_alone(net):
    row = [1, 5, 7]
    ids = torch.tensor([BOTH[0].tolist(), [0] * (BOTH.shape[1] - len(row)) + row])

    made = net.generate(ids, [WIDE, SMALL], ids != 0, max_new_tokens=4, stop_ids=())

    alone = net.generate(BOTH, [WIDE, SMALL], max_new_tokens=4, stop_ids=())
    without = net.generate(torch.tensor([row]), max_new_tokens=4, stop_ids=())
    assert made[:, -4:].tolist() == [alone[0, -4:].tolist(), without[0, -4:].tolist()]


@pytest.mark.parametrize(
    "images",
    [WIDE[0], WIDE[:, :, :7], [WIDE, SMALL[:, :1]], [WIDE, SMALL[:, :, :0]]],
    ids=["no batch", "no whole patch", "one channel", "no rows"],
)
def test_images_of_another_shape_are_refused(net, images):
    with pytest.raises(ValueError, match=r"but the encoder takes \[I, 3, 4\*R, 4\*C\]"):
        net(BOTH, images)


def test_an_empty_list_of_images_is_refused(net):
    with pytest.raises(ValueError, match="the list of images is empty"):
        net(torch.tensor([[1, 5]]), [])
