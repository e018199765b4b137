import keyword

import pytest
import torch

from lmmdsl.backends.torch.names import attribute, reach, safe

HARD = [
    "type",
    "type_",
    "type__",
    "train",
    "class",
    "class_",
    "step",
    "__x",
    "x",
    "forward",
    "layer",
]


@pytest.mark.parametrize("name", HARD)
def test_attribute_is_free_to_use(name):
    own = attribute(name)

    assert own.isidentifier()
    assert not keyword.iskeyword(own)
    assert not own.startswith("__")


def test_attributes_of_different_names_differ():
    assert len({attribute(name) for name in HARD}) == len(HARD)


def test_reach_indexes_layers():
    assert reach("layers.0.attn.weight") == "self.layers[0].attn.weight"


def test_safe_hides_neither_builtins_nor_taken_names():
    assert safe("sum", {"sum_"}) == "sum__"


def test_block_with_a_private_name_can_be_made(compile_text, build):
    text = """
block __Shift(width) {
  amount: param [width]
  forward(x: [*b, width]) -> [*b, width] { return x + amount }
}
model Outer {
  part: __Shift(3)
  flow run(x: [B, 3]) -> [B, 3] { return part(x) }
}
"""
    assert build(compile_text(text)).run(torch.ones(2, 3)).shape == (2, 3)
