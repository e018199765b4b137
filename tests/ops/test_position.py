"""Buckets of relative positions begin where the reference implementation's do, and far rotations stay exact."""

import pytest
import torch

from lmmdsl.ops.position import PositionBucket
from lmmdsl.ops.rope import Rotary

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("both", "far"),
    [
        (True, [8, 12, 16, 23, 32, 46, 64, 91]),
        (False, [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]),
    ],
    ids=["both sides", "one side"],
)
def test_buckets_begin_where_the_reference_has_them(both, far):
    assert PositionBucket(both=both).starts() == [*range(1, far[0]), *far]


@pytest.mark.parametrize("theta", [1e4, 5e5, 1e6])
@pytest.mark.parametrize("dim", [10, 64, 80, 128])
def test_rates_are_those_of_single_precision(dim, theta):
    steps = torch.arange(0, dim, 2, dtype=torch.float32)
    expected = 1.0 / theta ** (steps / dim)

    found = torch.tensor(Rotary(dim=dim, theta=theta).rates())

    # The library's power may be off by one unit in the last place.
    assert int((found != expected).sum()) <= 1
    torch.testing.assert_close(found, expected, rtol=1.2e-7, atol=0)
