"""What every operation promises: one class, and its shapes, PyTorch, ONNX and cost agree.

Each case runs with all sizes known and, where the operation allows it, with each size in turn left to run time.
"""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import lmmdsl.ops  # noqa: F401 (registers the operations)
from lmmdsl.backends.onnx.export import build_model
from lmmdsl.backends.torch.module import build_module
from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OPS
from lmmdsl.ops.signature import Refused
from tests.support.operations import definition, make_op, operands, types_of

pytestmark = [
    pytest.mark.torch,
    pytest.mark.onnx,
    pytest.mark.filterwarnings("ignore:Using padding=.same."),
]
torch.set_num_threads(1)
PROFILES = ("std", "ort", "base")


def listed(kind):
    return [
        pytest.param(name, case, id=f"{name}-{number}")
        for name, cls in OPS.items()
        for number, case in enumerate(getattr(cls, kind))
    ]


def sizes_of(given):
    """Sizes that may be left to run time; 0 stands for none of them."""
    found = {axis.value for operand in given if operand for axis in operand.kind.shape}
    return [0, *sorted(found - {0, 1})]


def accepted(op, given):
    """Types of the inputs with one size left open, for each size with which the operation accepts that."""
    for size in sizes_of(given):
        kinds = types_of(given, size)
        try:
            yield size, kinds, op.infer(kinds)
        except Refused:
            assert size, "a sample is refused"


def run_torch(op, given, kinds, folder):
    net = build_module(definition(op, given, kinds), folder=folder)
    result = net(*[torch.from_numpy(operand.data) for operand in given if operand])
    return result if isinstance(result, tuple) else (result,)


def run_onnx(op, given, kinds, profile, dtype="float32"):
    model = build_model(definition(op, given, kinds), profile=profile, dtype=dtype)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    arrays = [operand.data for operand in given if operand]
    wanted = {np.dtype(np.bool_): np.int64, np.dtype(np.float32): dtype}
    feeds = {
        item.name: array.astype(wanted.get(array.dtype, array.dtype))
        for item, array in zip(session.get_inputs(), arrays, strict=True)
    }
    return session.run(None, feeds)


@pytest.mark.parametrize(("name", "case"), listed("samples"))
def test_symbolic_shapes_agree_with_known_ones(name, case):
    op, given = make_op(name, case), operands(name, case)
    expected = op.infer(types_of(given))

    found = [(size, made) for size, _, made in accepted(op, given)]

    assert all(
        tuple(kind.subs({"S": Dim.of(size)}) for kind in made) == expected for size, made in found
    )


@pytest.mark.parametrize(("name", "case"), listed("samples"))
def test_torch_gives_the_inferred_types(name, case, tmp_path):
    op, given = make_op(name, case), operands(name, case)
    words = {torch.float32: "float", torch.int64: "int", torch.bool: "bool"}

    for _, kinds, _ in accepted(op, given):
        found = run_torch(op, given, kinds, tmp_path)

        assert [(words[t.dtype], tuple(t.shape)) for t in found] == [
            (kind.dtype.value, tuple(axis.value for axis in kind.shape))
            for kind in op.infer(types_of(given))
        ]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("name", "case"), listed("samples"))
def test_onnx_agrees_with_torch(name, case, profile, tmp_path):
    op, given = make_op(name, case), operands(name, case)
    expected = [t.numpy() for t in run_torch(op, given, types_of(given), tmp_path)]

    for _, kinds, _ in accepted(op, given):
        found = run_onnx(op, given, kinds, profile)

        for left, right in zip(found, expected, strict=True):
            assert (left.dtype, left.shape) == (right.dtype, right.shape)
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("name", "case"), listed("samples"))
def test_onnx_in_half_precision_is_near(name, case, profile, tmp_path):
    op, given = make_op(name, case), operands(name, case)
    kinds = types_of(given)
    expected = run_torch(op, given, kinds, tmp_path)

    found = run_onnx(op, given, kinds, profile, "float16")

    for left, right in zip(found, expected, strict=True):
        assert left.dtype != np.float32
        np.testing.assert_allclose(left, right.numpy(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("name", "case"), listed("samples"))
def test_cost_is_what_torch_counts(name, case, tmp_path):
    op, given = make_op(name, case), operands(name, case)
    kinds = types_of(given)

    # Fused attention on a CPU is not counted; its composition is.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run_torch(op, given, kinds, tmp_path)

    assert op.flops(kinds, op.infer(kinds)).value == counter.get_total_flops()


@pytest.mark.parametrize(("name", "case"), listed("refuses"))
def test_refusal_says_why(name, case):
    with pytest.raises(Refused) as refusal:
        make_op(name, case).infer(types_of(operands(name, case)))

    assert case.problem in refusal.value.problem


@pytest.mark.parametrize("name", OPS)
def test_operation_is_sampled_and_sourced(name):
    assert OPS[name].samples
    assert "Source: " in (OPS[name].__doc__ or "")
