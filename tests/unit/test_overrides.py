"""Settings of a model reach its own parts and values, and nothing that a block inside calls the same."""

from lmmdsl.driver.session import Request, check_text
from lmmdsl.graph.program import Program

TEXT = """
from std.nn import LayerNorm, Linear

block Inner(width) {
  times = 2
  norm: LayerNorm(width, 1e-6)
  proj: Linear(width, times * width)

  forward(x: [B, width]) -> [B, times * width] {
    return x |> norm |> proj
  }
}

model Outer {
  times = 3
  norm:  LayerNorm(8, 1e-5)
  inner: Inner(8)
  proj:  Linear(16, times * 8)

  flow run(x: [B, 8]) -> [B, times * 8] {
    return x |> norm |> inner |> proj
  }
}
"""


def compiled(*settings: tuple[str, str]) -> Program:
    checked = check_text(TEXT, Request(path="written.lmm", settings=settings))
    assert checked.program is not None, [str(item) for item in checked.diagnostics]
    return checked.program


def test_setting_of_a_part_leaves_parts_of_that_name_inside_blocks():
    root = compiled(("norm.eps", "0.5")).root
    inner = root.parts["inner"].definition

    assert root.parts["norm"].definition.binding["eps"] == 0.5
    assert inner.parts["norm"].definition.binding["eps"] == 1e-6


def test_setting_of_a_value_leaves_values_of_that_name_inside_blocks():
    root = compiled(("times", "5")).root

    assert root.methods["run"].type_of(root.methods["run"].outputs[0][1]).shape[1].value == 40
    assert root.parts["inner"].definition.parts["proj"].definition.binding["out"].value == 16


MADE_IN_OTHER_WAYS = """
from std.nn import Linear

model Outer {
  wide   = true
  layers: 3 * Linear(8, 8)
  chosen: if wide then Linear(8, 8) else Linear(8, 8)
  listed: [Linear(8, 8) for k in 0..2]

  flow run(x: [B, 8]) -> [B, 8] { return x |> layers |> chosen |> listed }
}
"""


def checked(*settings: tuple[str, str]):
    return check_text(MADE_IN_OTHER_WAYS, Request(path="written.lmm", settings=settings))


def test_settings_reach_calls_that_are_repeated_or_chosen():
    program = checked(("layers.biased", "false"), ("chosen.biased", "false")).program
    names = [path for path, _ in program.root.params()]

    assert not [name for name in names if name.startswith(("layers", "chosen")) and "bias" in name]
    assert [name for name in names if name.startswith("listed") and "bias" in name]


def test_a_setting_that_no_call_takes_is_a_mistake():
    (found,) = checked(("listed.biased", "false")).diagnostics

    assert found.code == "E0905"
