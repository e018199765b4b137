"""Looking up rows of learned tables."""

from collections.abc import Mapping
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op


@op
class Embed(Op):
    """One row of a table per id.

    Source: torch.nn.functional.embedding; ONNX Gather-13.
    """

    name: ClassVar[str] = "embed"
    signature: ClassVar[str] = "int ids[*b], weight[v d] -> y[*b d]"
    samples = (
        case(ids="int 2 5", weight="3 8"),
        case(ids="int 7", weight="3 5"),
        case(ids="int 2 0", weight="3 5"),
    )
    refuses = (case(ids="2 5", weight="3 8", problem="`ids` must be int"),)

    def torch(self, e: TorchEmitter, *args: str) -> str:
        return f"F.embedding({args[0]}, {args[1]})"

    def torch_module(self, shapes: Mapping[str, tuple[Dim, ...]]) -> str | None:
        rows, width = shapes["weight"]
        return f"nn.Embedding({rows}, {width})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        return g.op("Gather", args[1], args[0], axis=0)
