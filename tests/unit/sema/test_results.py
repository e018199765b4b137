"""What a call gives: results by place, and what is exposed beside them by name."""

import pytest

from lmmdsl.graph.ir import Apply, Call
from tests.support.programs import written

MODEL = """
block Pair() {{
  forward(x: [B, 6]) -> {signature} {{
    expose seen = x * 3
    return {returned}
  }}
}}

model Small {{
  pair: Pair()

  flow run(x: [B, 6]) -> [B, 6] {{
    {body}
  }}
}}
"""
NAMED, PLAIN = "(low: [B, 6], high: [B, 6])", "([B, 6], [B, 6])"


def read_slots(**texts):
    """Which outputs of the call the flow's last step reads."""
    graph = written(MODEL.format(**texts)).root.methods["run"]
    call = next(i for i, node in enumerate(graph.nodes) if isinstance(node.payload, Call))
    names = [name for name, _ in graph.nodes[call].payload.definition.methods["forward"].outputs]
    last = next(n for n in reversed(graph.nodes) if isinstance(n.payload, Apply))
    return [names[value.slot] for value in last.inputs if value and value.node == call]


@pytest.mark.parametrize(
    ("signature", "names"), [(NAMED, ["low", "high"]), (PLAIN, ["result.0", "result.1"])]
)
def test_results_are_taken_by_place_beside_exposed_values(signature, names):
    found = read_slots(
        signature=signature, returned="x, x * 2", body="a, b = pair(x)\n    return a - b"
    )

    assert found == names


def test_exposed_values_are_taken_by_name():
    body = "a, b = pair(x)\n    return b - pair(x).seen"
    found = read_slots(signature=NAMED, returned="x, x * 2", body=body)

    assert found == ["high", "seen"]


def test_one_named_result_is_itself():
    found = read_slots(signature="(low: [B, 6])", returned="x * 2", body="return pair(x) * x")

    assert found == ["low"]
