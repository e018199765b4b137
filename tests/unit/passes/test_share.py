"""Steps that do the same are done once; steps that only look alike are not."""

import pytest

from lmmdsl.graph.ir import Apply, Call, Constant, Input
from lmmdsl.passes.share import share
from tests.support.programs import written

MODEL = """
from std.attention import merge_heads, split_heads
from std.nn        import LayerNorm

block Twice(width) {{
  norm:  LayerNorm(width)
  other: LayerNorm(width)

  forward(x: [B, T, width]) -> [B, T, width] {{
    {body}
  }}
}}

model Small {{
  twice: Twice(6)

  flow run(x: [B, T, 6]) -> [B, T, 6] {{
    return twice(x)
  }}
}}
"""


def steps(body):
    """What the method does, behind its argument."""
    root = written(MODEL.format(body=body)).root
    graph = root.parts["twice"].definition.methods["forward"]
    return [node for node in graph.nodes if not isinstance(node.payload, Input)]


def names(body):
    found = []
    for node in steps(body):
        match node.payload:
            case Apply(op=op):
                found.append(op.name)
            case Call(part=part):
                found.append(part)
    return found


def test_an_operation_is_done_once():
    assert names("return x + exp(x) + exp(x)") == ["exp", "add", "add"]


def test_what_follows_from_the_same_is_the_same():
    assert (
        names(
            "return x + sum(exp(x), axis = 1, keep = true) + sum(exp(x), axis = 1, keep = true)"
        ).count("sum")
        == 1
    )


def test_a_part_is_called_once():
    assert names("return x + norm(x) + norm(x)") == ["norm", "add", "add"]


def test_a_shared_value_has_the_name_that_one_of_them_has():
    (found,) = [node for node in steps("y = exp(x)  return x * y + exp(x)") if node.names]

    assert found.names == ("y",)


@pytest.mark.parametrize(
    ("body", "operation", "count"),
    [
        ("return x + norm(x) + other(x)", "norm", 1),
        ("return x + norm(x) + other(x)", "other", 1),
        ("return x + sum(x, axis = 1, keep = true) + sum(x, axis = 2, keep = true)", "sum", 2),
    ],
)
def test_others_stay(body, operation, count):
    assert names(body).count(operation) == count


def test_equal_numbers_are_one():
    nodes = steps("return where(sum(x, axis = 2, keep = true) > 1, x * 1.0, x + 1.0)")
    numbers = [node.payload.value for node in nodes if isinstance(node.payload, Constant)]

    assert len(numbers) == len({(type(number), number) for number in numbers})


def test_a_model_without_repetitions_is_left_as_it_is():
    root = written(MODEL.format(body="return x + norm(x)")).root

    assert share(root) is root


CACHED = """
from std.attention import merge_heads, split_heads

block Looks(width) {
  forward(x: [B, T, width], keys: bool[B, S]?) -> [B, T, width] {
    q = split_heads(x, 2)
    one   = attend(q, q, q, keys = keys, causal = true, cache = true)
    other = attend(q, q, q, keys = keys, causal = true, cache = true)
    return merge_heads(one + other)
  }
}

model Small {
  looks: Looks(6)

  flow run(x: [B, T, 6], keys: bool[B, S]?) -> [B, T, 6] {
    return looks(x, keys)
  }
}
"""


def test_each_cached_attention_keeps_its_own_entry():
    graph = written(CACHED).root.parts["looks"].definition.methods["forward"]
    operations = [node.payload.op.name for node in graph.nodes if isinstance(node.payload, Apply)]

    assert operations.count("attend") == 2
