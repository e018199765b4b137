"""Scaled dot-product attention, with grouped heads, masks and a key/value cache."""

from dataclasses import dataclass
from typing import Any, ClassVar

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import DType, TensorType

# Finite, so that a row that may see nothing gives finite values; half precision reaches 65504.
HIDDEN = -30000.0


@op
@dataclass(frozen=True, kw_only=True)
class Attend(Op):
    """softmax(q k^T * scale + bias) v over the keys that each query may see.

    Each of the g key/value heads serves h / g consecutive query heads. `keys` tells real keys from padding, `mask`
    who may see what; `causal` hides later keys (queries stand at the end of the keys). With `cache`, keys and values
    of earlier steps come before the new ones; `keys`, `mask` and `bias` then cover both. `scale` is d ** -0.5
    unless given.

    Source: arXiv 1706.03762 section 3.2; arXiv 2305.13245 (grouped heads); ONNX Attention-23.
    """

    name: ClassVar[str] = "attend"
    signature: ClassVar[str] = (
        "q[b h t d], k[b g s d], v[b g s e], bool keys[b c]?, bool mask[m t c]?, bias[*n t c]? -> y[b h t e]"
    )
    causal: bool = False
    scale: float | None = None
    cache: bool = False
    samples = (
        case(q="2 4 5 8", k="2 2 7 8", v="2 2 7 6", keys="bool 2 7", mask=None, bias=None),
        case(
            q="2 3 5 8",
            k="2 3 5 8",
            v="2 3 5 8",
            keys=None,
            mask=None,
            bias=None,
            attributes={"causal": True},
        ),
        case(q="2 4 5 8", k="2 4 7 8", v="2 4 7 8", keys=None, mask="bool 2 5 7", bias="4 5 7"),
        case(
            q="2 4 5 8",
            k="2 2 5 8",
            v="2 2 5 8",
            keys="bool 2 5",
            mask=None,
            bias=None,
            attributes={"causal": True, "scale": 0.5},
        ),
    )
    refuses = (
        case(
            q="2 4 5 8",
            k="2 3 7 8",
            v="2 3 7 8",
            keys=None,
            mask=None,
            bias=None,
            problem="4 query heads do not share 3",
        ),
        case(
            q="2 4 5 8",
            k="2 4 7 6",
            v="2 4 7 6",
            keys=None,
            mask=None,
            bias=None,
            problem="axis `d` of `k` is 6, not 8",
        ),
    )

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = super().infer(inputs)
        q, k = inputs[:2]
        assert q is not None and k is not None
        heads, groups = q.shape[1], k.shape[1]
        if isinstance(heads, Dim) and isinstance(groups, Dim) and heads.divide(groups) is None:
            raise Refused(
                f"{heads} query heads do not share {groups} key/value heads", sizes=(heads, groups)
            )
        return kinds

    def torch(self, e: TorchEmitter, *args: str) -> str:
        q, k, v, keys, mask, bias = args
        options = {"keys": keys, "mask": mask, "bias": bias}
        extra = [f"{name}={text}" for name, text in options.items() if text != "None"]
        if self.causal:
            extra.append("causal=True")
        if self.scale is not None:
            extra.append(f"scale={self.scale}")
        if self.cache:
            cache, layer = e.cache()
            extra += [f"cache={cache}", f"layer={layer}"]
        return f"{e.helper('attend')}({', '.join([q, k, v, *extra])})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        past = g.past() if self.cache else None
        if g.profile == "base":
            return self._primitives(g, args, past)
        q, k, v = args[:3]
        hidden = self._hidden(g, args)
        options: dict[str, Any] = {"is_causal": int(self.causal)}
        if self.scale is not None:
            options["scale"] = self.scale
        if past is None:
            return g.op("Attention", q, k, v, hidden, **options)
        result, key, value = g.op("Attention", q, k, v, hidden, *past, outputs=3, **options)
        g.present(key, value)
        return result

    def _hidden(self, g: OnnxBuilder, args: tuple[str | None, ...]) -> Any:
        """What is added to the scores, [b or 1, h or 1, t, c], or None."""
        _, _, _, keys, mask, bias = args
        zero, low = g.const(0.0, DType.FLOAT), g.const(HIDDEN, DType.FLOAT)
        total: Any = None
        if keys is not None:
            seen = g.op("Where", keys, zero, low)
            seen = g.op("Unsqueeze", seen, g.const([1, 2], DType.INT))
            # Attention wants the query axis spelled out.
            tokens = g.outputs[0].shape[2]
            assert isinstance(tokens, Dim)
            total = g.op("Expand", seen, g.shape([1, 1, tokens, 1]))
        if mask is not None:
            seen = g.op("Unsqueeze", g.op("Where", mask, zero, low), g.const([1], DType.INT))
            total = seen if total is None else g.op("Max", g.op("Add", total, seen), low)
        if bias is not None:
            assert g.inputs[5] is not None
            if len(g.inputs[5].shape) == 3:
                bias = g.op("Unsqueeze", bias, g.const([0], DType.INT))
            total = bias if total is None else g.op("Add", total, bias)
        return total

    def _primitives(
        self, g: OnnxBuilder, args: tuple[str | None, ...], past: tuple[str, str] | None
    ) -> Any:
        q, k, v = args[:3]
        if past is not None:
            k, v = g.op("Concat", past[0], k, axis=2), g.op("Concat", past[1], v, axis=2)
            g.present(k, v)
        assert g.inputs[0] is not None and g.inputs[1] is not None
        batch, heads, tokens, width = g.inputs[0].shape
        groups = g.inputs[1].shape[1]
        assert isinstance(heads, Dim) and isinstance(groups, Dim) and isinstance(width, Dim)
        scale = self.scale if self.scale is not None else width.value**-0.5
        q = g.op("Mul", q, g.const(scale, DType.FLOAT))
        if heads != groups:
            k, v = (self._shared(g, tensor, heads, groups) for tensor in (k, v))
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        hidden = self._hidden(g, args)
        if self.causal:
            hidden = self._causal(g, scores, hidden)
        if hidden is not None:
            scores = g.op("Add", scores, hidden)
        return g.op("MatMul", g.op("Softmax", scores, axis=-1), v)

    def _shared(self, g: OnnxBuilder, tensor: Any, heads: Dim, groups: Dim) -> Any:
        """Each key/value head once per query head that it serves."""
        rows = [head // (heads.value // groups.value) for head in range(heads.value)]
        return g.op("Gather", tensor, g.const(rows, DType.INT), axis=1)

    def _causal(self, g: OnnxBuilder, scores: Any, hidden: Any) -> Any:
        """Hide keys after each query; queries stand at the end of the keys."""
        sizes = [
            g.op("Squeeze", g.op("Shape", scores, start=axis, end=axis + 1)) for axis in (2, 3)
        ]
        zero, one = g.const(0, DType.INT), g.const(1, DType.INT)
        queries = g.op("Range", g.op("Sub", sizes[1], sizes[0]), sizes[1], one)
        keys = g.op("Range", zero, sizes[1], one)
        later = g.op("Greater", keys, g.op("Unsqueeze", queries, g.const([1], DType.INT)))
        low = g.const(HIDDEN, DType.FLOAT)
        future = g.op("Where", later, low, g.const(0.0, DType.FLOAT))
        return future if hidden is None else g.op("Max", g.op("Add", hidden, future), low)

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        q, k, v = inputs[:3]
        assert q is not None and k is not None and v is not None
        keys, width = k.shape[2], v.shape[3]
        assert isinstance(keys, Dim) and isinstance(width, Dim)
        rows = product(q.shape[:3])
        q_width = q.shape[3]
        assert isinstance(q_width, Dim)
        return 2 * rows * keys * q_width + 2 * rows * keys * width
