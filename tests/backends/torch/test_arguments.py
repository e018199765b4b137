"""Arguments of emitted methods: names that Python has, and inputs that belong together."""

import pytest
import torch

from lmmdsl.backends.torch.images import require_together
from lmmdsl.backends.torch.module import build_module
from tests.support.programs import shipped, written

KEYWORDS = """
from std.nn import Linear

model Small {
  up: Linear(6, 6)

  flow run(lambda: [B, 6], lambda_: [B, 6], cache: [B, 6]) -> [B, 6] {
    return up(lambda) + lambda_ * 2 + cache * 3
  }
}
"""


def test_arguments_that_differ_in_python_alone_stay_apart():
    net = build_module(written(KEYWORDS))
    one, two, three = torch.randn(3, 2, 6)

    torch.testing.assert_close(net.run(one, two, three), net.up(one) + two * 2 + three * 3)


def test_inputs_that_belong_together_come_together():
    require_together(at=torch.zeros(1), drawn=torch.zeros(1))
    with pytest.raises(ValueError, match="drawn came without at, first"):
        require_together(drawn=torch.zeros(1), at=None, first=None)


def test_regions_without_their_images_are_refused():
    net = build_module(shipped("ferret", "tiny"))
    drawn = torch.rand(1, *(size.value for size in _drawn_shape(net)))

    with pytest.raises(ValueError, match="drawn came without at, first, pixel_values"):
        net(torch.tensor([[1, 2]]), drawn=drawn)


def _drawn_shape(net):
    graph = net.lmm_program.root.methods["encode_regions"]
    (drawn,) = (value for value in graph.inputs if graph.name_of(value) == "drawn")
    return graph.type_of(drawn).shape[1:]


def test_encoder_decoders_take_no_further_inputs():
    net = build_module(shipped("blip2_t5", "tiny"))

    with pytest.raises(ValueError, match="takes no points"):
        net.generate(torch.tensor([[1, 2]]), inputs={"points": torch.zeros(1)}, max_new_tokens=2)
