"""Attention as ONNX nodes, in three forms: the standard operation, ONNX Runtime's own, and primitives.

What a query may not see is added to its scores as a large finite number: a row that hides everything then gives finite
values in every runtime. Axes: B batch, h query heads, g key/value heads, T queries, S all keys (past ones first).
"""

from dataclasses import dataclass
from typing import Any

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.axes import known
from lmmdsl.ops.base import OnnxBuilder
from lmmdsl.types.tensor import DType

HIDDEN = -20000.0  # half precision reaches 65504, and three of these may meet
INT32 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Operands (names of values) and attributes of an attention; `past` where it keeps keys and values."""

    q: str
    k: str
    v: str
    keys: str | None
    mask: str | None
    bias: str | None
    prefix: str | None
    causal: bool
    scale: float | None
    past: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the operands."""

    batch: Dim
    heads: Dim
    groups: Dim
    queries: Dim
    keys: Dim  # new ones
    width: Dim
    values: Dim  # width of a value


def emit(g: OnnxBuilder, wanted: Wanted) -> Any:
    """Write an attention; gives its result `[B, h, T, e]`."""
    sizes = _sizes(g)
    if g.profile == "base":
        return _primitives(g, wanted, sizes)
    is_plain = wanted.causal and wanted.prefix is None
    if g.profile == "ort" and wanted.past and is_plain and _fits_grouped(sizes):
        return _grouped(g, wanted, sizes)
    return _standard(g, wanted, sizes)


def _sizes(g: OnnxBuilder) -> Sizes:
    q, k, v = g.inputs[:3]
    assert q is not None and k is not None and v is not None
    batch, heads, queries, width = known(*q.shape)
    _, groups, keys, _ = known(*k.shape)
    return Sizes(batch, heads, groups, queries, keys, width, known(*v.shape)[3])


def _standard(g: OnnxBuilder, wanted: Wanted, sizes: Sizes) -> Any:
    """Attention-23. Its `is_causal` lets query i see key i when nothing is cached."""
    is_aligned = wanted.past is not None or sizes.queries == sizes.keys
    is_aligned = is_aligned and wanted.prefix is None
    hidden = _hidden(g, wanted, sizes.queries)
    if wanted.causal and not is_aligned:
        hidden = _join(g, hidden, _future(g, wanted, _all_keys(g, wanted, sizes), sizes))
    options: dict[str, Any] = {"is_causal": int(wanted.causal and is_aligned)}
    if wanted.scale is not None:
        options["scale"] = wanted.scale
    tensors = (wanted.q, wanted.k, wanted.v, hidden)
    if wanted.past is None:
        return g.op("Attention", *tensors, **options)
    result, key, value = g.op("Attention", *tensors, *wanted.past, outputs=3, **options)
    g.present(key, value)
    return result


def _fits_grouped(sizes: Sizes) -> bool:
    """Whether ONNX Runtime's kernel takes heads of this width."""
    return sizes.width == sizes.values and sizes.width.value % 8 == 0


def _grouped(g: OnnxBuilder, wanted: Wanted, sizes: Sizes) -> Any:
    """GroupQueryAttention: past and present may share one buffer, which then is not copied.

    Its limit: several new tokens after a past need a batch of one.
    """
    assert wanted.past is not None
    total = _total(g, wanted, sizes)  # [1]
    last = g.op("Cast", g.op("Sub", total, g.const([1], DType.INT)), to=INT32)
    result, key, value = g.op(
        "GroupQueryAttention",
        *(
            _packed(g, x, heads, sizes)
            for x, heads in ((wanted.q, sizes.heads), (wanted.k, sizes.groups))
        ),
        _packed(g, wanted.v, sizes.groups, sizes),
        *wanted.past,
        g.op("Expand", last, g.shape([sizes.batch])),
        g.op("Cast", g.op("Squeeze", total), to=INT32),
        None,
        None,
        None,
        _hidden(g, wanted, sizes.queries),
        outputs=3,
        domain="com.microsoft",
        num_heads=sizes.heads.value,
        kv_num_heads=sizes.groups.value,
        **({} if wanted.scale is None else {"scale": wanted.scale}),
    )
    g.present(key, value)
    split = g.op("Reshape", result, g.shape([sizes.batch, sizes.queries, sizes.heads, sizes.width]))
    return g.op("Transpose", split, perm=[0, 2, 1, 3])


def _packed(g: OnnxBuilder, x: str, heads: Dim, sizes: Sizes) -> Any:
    """`[B, h, T, d]` as `[B, T, h d]`."""
    turned = g.op("Transpose", x, perm=[0, 2, 1, 3])
    return g.op("Reshape", turned, g.shape([sizes.batch, sizes.queries, heads * sizes.width]))


def _total(g: OnnxBuilder, wanted: Wanted, sizes: Sizes) -> Any:
    """Number of all keys, `[1]`."""
    seen = next((kind.shape[-1] for kind in g.inputs[3:6] if kind), None)
    if isinstance(seen, Dim):
        return g.dim(seen)
    assert wanted.past is not None
    return g.op("Add", g.op("Shape", wanted.past[0], start=2, end=3), g.dim(sizes.keys))


def _primitives(g: OnnxBuilder, wanted: Wanted, sizes: Sizes) -> Any:
    """Matrix products and softmax."""
    k, v = wanted.k, wanted.v
    if wanted.past is not None:
        k, v = (
            g.op("Concat", old, new, axis=2) for old, new in zip(wanted.past, (k, v), strict=True)
        )
        g.present(k, v)
    hidden = _hidden(g, wanted, None)
    if wanted.causal:
        total = g.op("Shape", k, start=2, end=3)
        hidden = _join(g, hidden, _future(g, wanted, total, sizes))
    scale = sizes.width.value**-0.5 if wanted.scale is None else wanted.scale
    q = g.op("Mul", wanted.q, g.const(scale, DType.FLOAT))
    if sizes.heads != sizes.groups:
        k, v = (_repeated(g, x, sizes) for x in (k, v))
    scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    if hidden is not None:
        scores = g.op("Add", scores, hidden)
    return g.op("MatMul", g.op("Softmax", scores, axis=-1), v)


def _repeated(g: OnnxBuilder, x: str, sizes: Sizes) -> Any:
    """Each key/value head once per query head that it serves."""
    share = sizes.heads.value // sizes.groups.value
    heads = [head // share for head in range(sizes.heads.value)]
    return g.op("Gather", x, g.const(heads, DType.INT), axis=1)


def _hidden(g: OnnxBuilder, wanted: Wanted, queries: Dim | None) -> Any:
    """What masks and bias add to the scores, `[B or 1, h or 1, T or 1, S]`, or None.

    Fused operations want the axis of the queries spelled out: `queries` is its size.
    """
    total: Any = None
    if wanted.keys is not None:
        total = g.op("Unsqueeze", _added(g, wanted.keys), g.const([1, 2], DType.INT))
        if queries is not None:
            total = g.op("Expand", total, g.shape([1, 1, queries, 1]))
    if wanted.mask is not None:
        mask = g.op("Unsqueeze", _added(g, wanted.mask), g.const([1], DType.INT))
        total = _join(g, total, mask)
    if wanted.bias is None:
        return total
    bias: Any = wanted.bias
    assert g.inputs[5] is not None
    missing = 4 - len(g.inputs[5].shape)
    if missing:
        bias = g.op("Unsqueeze", bias, g.const(list(range(missing)), DType.INT))
    return bias if total is None else g.op("Add", total, bias)


def _added(g: OnnxBuilder, seen: str) -> Any:
    """0 for what is seen, `HIDDEN` for what is not."""
    return g.op("Where", seen, g.const(0.0, DType.FLOAT), g.const(HIDDEN, DType.FLOAT))


def _join(g: OnnxBuilder, left: Any, right: Any) -> Any:
    """Hide what either hides."""
    return right if left is None else g.op("Add", left, right)


def _all_keys(g: OnnxBuilder, wanted: Wanted, sizes: Sizes) -> Any:
    """Number of keys, those of the cache included, `[1]`."""
    if wanted.past is None:
        return g.op("Shape", wanted.k, start=2, end=3)
    return _total(g, wanted, sizes)


def _future(g: OnnxBuilder, wanted: Wanted, total: Any, sizes: Sizes) -> Any:
    """Hide keys after each query and after the prefix: `[T, S]` or `[B, 1, T, S]`; the last query is the last key."""
    total = g.op("Squeeze", total)
    zero, one = g.const(0, DType.INT), g.const(1, DType.INT)
    start = g.op("Sub", total, g.op("Squeeze", g.dim(sizes.queries)))
    queries = g.op("Unsqueeze", g.op("Range", start, total, one), g.const([1], DType.INT))
    places = g.op("Range", zero, total, one)
    seen = g.op("LessOrEqual", places, queries)
    if wanted.prefix is not None:
        ends = g.op("Unsqueeze", wanted.prefix, g.const([1, 2, 3], DType.INT))
        seen = g.op("Or", seen, g.op("Less", places, ends))
    return _added(g, seen)
