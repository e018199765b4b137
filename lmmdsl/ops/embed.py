"""Looking up rows, and putting rows in their place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.types.tensor import DType


@op
@dataclass(frozen=True, kw_only=True)
class Embed(Op):
    """One row of a table per id.

    Source: torch.nn.functional.embedding; ONNX Gather-13.
    """

    name: ClassVar[str] = "embed"
    signature: ClassVar[str] = "int ids[*b], weight[v d] -> y[*b d]"
    samples = (case(ids="int 2 5", weight="3 8"), case(ids="int 7", weight="3 5"))
    refuses = (case(ids="2 5", weight="3 8", problem="must be int"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"F.embedding({args[0]}, {args[1]})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        rows, width = shapes["weight"]
        return f"nn.Embedding({rows}, {width})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Gather", args[1], args[0], axis=0)


@op
@dataclass(frozen=True, kw_only=True)
class Splice(Op):
    """Replace embeddings: the k-th marked position, row by row of the batch, takes row k.

    More positions than rows, or fewer, is an error in PyTorch; in ONNX the caller must see to it.

    Source: torch.Tensor.masked_scatter; ONNX CumSum-14, Gather-13, Where-16.
    """

    name: ClassVar[str] = "splice"
    signature: ClassVar[str] = "embeds[b t d], bool at[b t], rows[*n d] -> y[b t d]"
    samples = ()
    refuses = (
        case(embeds="2 5 8", at="bool 2 5", rows="3 7", problem="axis `d` of `rows` is 7, not 8"),
    )

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"{e.helper('splice')}({', '.join(args)})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        embeds, at, rows = args
        width = g.inputs[0].shape[-1] if g.inputs[0] else None
        assert isinstance(width, Dim)
        flat = g.op("Reshape", rows, g.shape([-1, width]))
        # One zero row in front keeps the lookup inside the table when there is no image at all.
        zero = g.op("Expand", g.const([[0.0]], DType.FLOAT), g.shape([1, width]))
        table = g.op("Concat", zero, flat, axis=0)
        marks = g.op("Reshape", g.op("Cast", at, to=7), g.shape([-1]))
        count = g.op("CumSum", marks, g.const([0], DType.INT))
        last = g.op("Sub", g.op("Shape", table, start=0, end=1), g.const([1], DType.INT))
        place = g.op("Min", g.op("Mul", count, marks), last)
        batch, tokens = g.outputs[0].shape[:2]
        assert isinstance(batch, Dim) and isinstance(tokens, Dim)
        grid = g.op("Reshape", place, g.shape([batch, tokens]))
        return g.op(
            "Where",
            g.op("Unsqueeze", at, g.const([-1], DType.INT)),
            g.op("Gather", table, grid, axis=0),
            embeds,
        )
