"""Putting rows in their place."""

from typing import Any, ClassVar

from lmmdsl.ops.axes import given, known
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.types.tensor import DType


@op
class Splice(Op):
    """Replace embeddings: the k-th marked position, row by row of the batch, takes row k.

    As many rows as marked positions are needed, or none at all: then nothing is replaced. In ONNX, rows beyond those
    needed are left out.

    Source: torch.Tensor.masked_scatter; ONNX NonZero-13, ScatterND-18.
    """

    name: ClassVar[str] = "splice"
    signature: ClassVar[str] = "embeds[b t d], bool at[b t], rows[*n d] -> y[b t d]"
    samples = (
        case(embeds="2 5 8", at="bool 2 5: 0 1 1 0 0  0 0 0 0 1", rows="3 8"),
        case(embeds="2 5 8", at="bool 2 5: 0 1 1 1 1  0 0 1 1 0", rows="2 3 8"),
        case(embeds="2 3 8", at="bool 2 3: 0 0 0  0 0 0", rows="0 8"),
        case(embeds="2 3 8", at="bool 2 3: 0 0 0  0 0 0", rows="0 3 8"),
    )
    refuses = (
        case(embeds="2 5 8", at="bool 2 5", rows="3 7", problem="axis `d` of `rows` is 7, not 8"),
        case(embeds="2 5 8", at="bool 2 4", rows="3 8", problem="axis `t` of `at` is 4, not 5"),
        case(embeds="2 5 8", at="int 2 5", rows="3 8", problem="`at` must be bool"),
    )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('splice')}({', '.join(args)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        embeds, at, rows = args
        *lead, width = known(*given(g.inputs)[2].shape)
        places = g.op(
            "Transpose", g.op("NonZero", at), perm=[1, 0]
        )  # [rows, 2], in row-major order
        if len(lead) != 1:
            rows = g.op("Reshape", rows, g.shape([product(lead), width]))
        zero = g.const([0], DType.INT)
        offered = g.op("Shape", rows, start=0, end=1)
        needed = g.op("Shape", places, start=0, end=1)
        count = g.op("Where", g.op("Equal", offered, zero), zero, needed)
        places, used = (g.op("Slice", x, zero, count, zero) for x in (places, rows))
        return g.op("ScatterND", embeds, places, used)
