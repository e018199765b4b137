"""What a program does not need goes."""

from tests.support.programs import written

LAYERS = """
from std.nn import Linear

block Tower(width) {
  layers: 5 * Linear(width, width)
  own:    [Linear(width, width + k) for k in 0..3]

  forward(x: [B, width]) -> [B, width] {
    return layers[2](layers[0](x)) + own[0](x)
  }
}

model Alone {
  tower: Tower(6)

  flow run(x: [B, 6]) -> [B, 6] {
    return tower(x) + tower.layers[1](x)
  }
}
"""


def test_layers_behind_the_last_that_is_called_alone_go():
    tower = written(LAYERS).root.parts["tower"].definition

    assert len(tower.parts["layers"].definitions) == 3
    assert len(tower.parts["own"].definitions) == 1
