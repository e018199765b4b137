"""Scaled dot-product attention, with grouped heads, masks and a key/value cache."""

from typing import Any, ClassVar

from lmmdsl.dims.expr import ONE, Dim
from lmmdsl.ops import attention_onnx
from lmmdsl.ops.axes import given, known, number, show
from lmmdsl.ops.base import Case, OnnxBuilder, Op, TorchEmitter, case, op
from lmmdsl.ops.broadcast import broadcast, product
from lmmdsl.ops.signature import Refused, Types
from lmmdsl.types.tensor import TensorType


def _masked(*, problem: str = "", **masks: str) -> Case:
    """Five queries over seven keys."""
    tensors = {"q": "2 4 5 8", "k": "2 4 7 8", "v": "2 4 7 8"}
    return Case(inputs=tensors | masks, problem=problem)


@op
class Attend(Op):
    """softmax(q k^T * scale + bias) v over the keys that each query may see.

    Each of the g key/value heads serves h / g consecutive query heads. `keys` tells real keys from padding, `mask`
    who may see what; `causal` hides later keys (the last query is the last key), but none of the first `prefix` keys.
    With `cache`, keys and values of earlier steps come before the new ones; `keys`, `mask`, `bias` and `prefix` then
    tell of both. `scale` is d ** -0.5 unless given. The row of a query that may see nothing is finite and means
    nothing.

    Source: arXiv 1706.03762 section 3.2; arXiv 2305.13245 (grouped heads); ONNX Attention-23; com.microsoft
    GroupQueryAttention.
    """

    name: ClassVar[str] = "attend"
    signature: ClassVar[str] = (
        "q[b h t d], k[b g s d], v[b g s e], bool keys[b c]?, bool mask[m t c]?, bias[*n t c]?,"
        " int prefix[b]? -> y[b h t e]"
    )
    causal: bool = False
    scale: float | None = None
    cache: bool = False
    samples = (
        case(q="2 4 5 8", k="2 2 7 8", v="2 2 7 6", keys="bool 2 7"),
        case(q="2 3 5 8", k="2 3 5 8", v="2 3 5 8", attributes={"causal": True}),
        case(q="2 3 3 8", k="2 3 5 8", v="2 3 5 8", attributes={"causal": True}),
        _masked(mask="bool 2 5 7", bias="4 5 7"),
        _masked(mask="bool 1 5 7", keys="bool 2 7", bias="2 1 5 7"),
        _masked(bias="5 7"),
        case(
            q="2 4 5 8", k="2 2 5 8", v="2 2 5 8", keys="bool 2 5",
            attributes={"causal": True, "scale": 0.5},
        ),
        case(
            q="2 4 5 8", k="2 2 5 8", v="2 2 5 8", keys="bool 2 5", bias="4 5 5",
            attributes={"causal": True, "cache": True},
        ),
        case(q="2 4 5 8", k="2 2 5 8", v="2 2 5 8", prefix="int 2: 3 0", attributes={"causal": True}),
        case(
            q="2 4 5 8", k="2 2 5 8", v="2 2 5 8", prefix="int 2: 2 9", keys="bool 2 5",
            attributes={"causal": True, "cache": True},
        ),
    )  # fmt: skip
    refuses = (
        case(q="2 4 5 8", k="2 3 7 8", v="2 3 7 8", problem="4 query heads do not share 3"),
        case(q="2 4 5 8", k="2 4 7 6", v="2 4 7 6", problem="axis `d` of `k` is 6, not 8"),
        _masked(keys="bool 2 5", problem="`keys` tells of 5 keys, but there are 7"),
        _masked(mask="bool 3 5 7", problem="`mask` has a batch of 3, not 2"),
        _masked(bias="3 5 7", problem="do not broadcast: 4 is not 3"),
        _masked(keys="2 7", problem="`keys` must be bool"),
        case(q="2 4 5 8", k="2 4 5 8", v="2 4 5 8", prefix="int 2", problem="without `causal`"),
        case(
            q="2 4 7 8", k="2 4 5 8", v="2 4 5 8", attributes={"causal": True},
            problem="7 queries, but only 5 keys",
        ),
    )  # fmt: skip

    def infer(self, inputs: Types) -> tuple[TensorType, ...]:
        kinds = super().infer(inputs)
        self._check_heads(*given(inputs)[:3])
        self._check_masks(inputs)
        return kinds

    def _check_heads(self, q: TensorType, k: TensorType, v: TensorType) -> None:
        heads, groups = known(q.shape[1], k.shape[1])
        if heads.divide(groups) is None:
            problem = f"{heads} query heads do not share {groups} key/value heads"
            raise Refused(problem, sizes=(heads, groups))
        for size in (heads, groups, *known(q.shape[3], v.shape[3])):
            if not size.is_const:
                raise Refused(f"heads and their width must be known, not {size}", sizes=(size,))
        queries, keys = known(q.shape[2], k.shape[2])
        room = keys - queries
        if self.causal and not self.cache and room.is_const and room.value < 0:
            raise Refused(f"{queries} queries, but only {keys} keys", sizes=(queries, keys))

    def _check_masks(self, inputs: Types) -> None:
        q, k, _, keys, mask, bias, prefix = inputs
        assert q is not None and k is not None
        for name, kind in (("keys", keys), ("mask", mask), ("bias", bias)):
            if kind and not self.cache and kind.shape[-1] != k.shape[2]:
                problem = f"`{name}` tells of {kind.shape[-1]} keys, but there are {k.shape[2]}"
                raise Refused(problem, sizes=known(kind.shape[-1], k.shape[2]))
        if mask and mask.shape[0] not in (ONE, q.shape[0]):
            problem = f"`mask` has a batch of {mask.shape[0]}, not {q.shape[0]}"
            raise Refused(problem, sizes=known(mask.shape[0], q.shape[0]))
        if prefix and not self.causal:
            raise Refused("`prefix` means nothing without `causal`: every token sees all others")
        if bias and broadcast(q.shape[:2], bias.shape[:-2]) != q.shape[:2]:
            raise Refused(f"`bias` has shape {show(bias.shape)}, which is more than one per head")

    def torch(self, e: TorchEmitter, *args: str) -> str:
        names = ("keys", "mask", "bias", "prefix")
        extra = [f"{n}={x}" for n, x in zip(names, args[3:], strict=True) if x != "None"]
        if self.causal:
            extra.append("causal=True")
        if self.scale is not None:
            extra.append(f"scale={number(self.scale)}")
        if self.cache:
            cache, layer = e.cache()
            extra += [f"cache={cache}", f"layer={layer}"]
        return f"{e.helper('attend')}({', '.join([*args[:3], *extra])})"

    def onnx(self, g: OnnxBuilder, *args: str | None) -> Any:
        wanted = attention_onnx.Wanted(
            q=args[0] or "",
            k=args[1] or "",
            v=args[2] or "",
            keys=args[3],
            mask=args[4],
            bias=args[5],
            prefix=args[6],
            causal=self.causal,
            scale=self.scale,
            past=g.past() if self.cache else None,
        )
        return attention_onnx.emit(g, wanted)

    def flops(self, inputs: Types, outputs: tuple[TensorType, ...]) -> Dim:
        q, k, v, *masks = inputs
        assert q is not None and k is not None and v is not None
        seen = next((kind.shape[-1] for kind in masks[:3] if kind), k.shape[2])
        widths = product((q.shape[3],)) + product((v.shape[3],))
        return 2 * product((*q.shape[:3], seen)) * widths
