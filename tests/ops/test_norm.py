"""Statistics of normalisations are taken in single precision."""

import numpy as np
import onnxruntime as ort
import pytest

from lmmdsl.backends.onnx.export import build_model
from lmmdsl.dims.expr import Dim
from lmmdsl.ops.norm import RmsNorm
from lmmdsl.types.tensor import DType, TensorType
from tests.support.operations import Operand, definition

pytestmark = pytest.mark.onnx


@pytest.mark.parametrize("profile", ["std", "ort", "base"])
def test_rms_norm_in_half_precision_does_not_overflow(profile):
    x, weight = np.array([[300.0, -600.0, 900.0]]), np.ones(3)
    given = tuple(
        Operand(name, TensorType(DType.FLOAT, tuple(map(Dim.of, data.shape))), data)
        for name, data in (("x", x), ("weight", weight))
    )
    block = definition(RmsNorm(), given, tuple(item.kind for item in given))
    model = build_model(block, profile=profile, dtype="float16").SerializeToString()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

    (found,) = session.run(None, {item.name: item.data.astype(np.float16) for item in given})

    np.testing.assert_allclose(found, x / np.sqrt((x * x).mean()), rtol=2e-3)
