"""Attention against its definition: padding in front, steps on a cache, half precision, rows that see nothing."""

from itertools import product

import numpy as np
import onnxruntime as ort
import pytest
import torch

from lmmdsl.backends.onnx.export import build_model
from lmmdsl.backends.torch.module import build_module
from lmmdsl.backends.torch.runtime import KVCache
from lmmdsl.dims.expr import Dim
from lmmdsl.ops.attention import Attend
from lmmdsl.types.tensor import DType, TensorType
from tests.support.operations import Operand, definition

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
torch.set_num_threads(1)
BATCH, HEADS, GROUPS, WIDTH = 2, 6, 2, 8
PROFILES = ("std", "ort", "base")
TOLERANCE = {"float32": 2e-6, "float16": 4e-3}


def attention(q, k, v, seen):
    """The definition in double precision; `seen` is bool [B, 1, T, S]."""
    k, v = (np.repeat(x.astype(float), HEADS // GROUPS, axis=1) for x in (k, v))
    scores = np.where(seen, q.astype(float) @ k.swapaxes(2, 3) * WIDTH**-0.5, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


class Stream:
    """Tokens of two rows; the first begins with padding. Steps take the next tokens, keys grow."""

    def __init__(self, tokens, padding=2, dtype="float32", prefix=None):
        rng = np.random.default_rng(5)
        self.q = rng.normal(size=(BATCH, HEADS, tokens, WIDTH)).astype(dtype)
        self.k, self.v = rng.normal(size=(2, BATCH, GROUPS, tokens, WIDTH)).astype(dtype)
        self.keys = np.ones((BATCH, tokens), bool)
        self.keys[0, :padding] = False
        self.padding = padding
        self.prefix = None if prefix is None else np.array(prefix)

    def expected(self):
        tokens = self.q.shape[2]
        causal = np.tril(np.ones((tokens, tokens), bool))
        if self.prefix is not None:
            causal = causal | (np.arange(tokens) < self.prefix[:, None])[:, None, None]
        return attention(self.q, self.k, self.v, causal & self.keys[:, None, None])

    def step(self, start, stop):
        piece = (slice(None), slice(None), slice(start, stop))
        prefix = () if self.prefix is None else (self.prefix,)
        return self.q[piece], self.k[piece], self.v[piece], self.keys[:, :stop], *prefix

    def assert_real_rows_agree(self, found, tolerance):
        expected = self.expected()
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[1], expected[1], atol=tolerance)
        np.testing.assert_allclose(
            found[0, :, self.padding :], expected[0, :, self.padding :], atol=tolerance
        )


def block(*, cache, width=WIDTH, prefix=False):
    """Causal attention over keys with padding, tokens and keys of run-time number."""
    b, t, s = map(Dim.symbol, "BTS")
    float_ = DType.FLOAT
    kinds = (
        TensorType(float_, (b, Dim.of(HEADS), t, Dim.of(width))),
        TensorType(float_, (b, Dim.of(GROUPS), t, Dim.of(width))),
        TensorType(float_, (b, Dim.of(GROUPS), t, Dim.of(width))),
        TensorType(DType.BOOL, (b, s if cache else t)),
    )
    front = TensorType(DType.INT, (b,))
    names = ("q", "k", "v", "keys")
    given = tuple(Operand(n, kind, np.zeros(0)) for n, kind in zip(names, kinds, strict=True))
    last = Operand("prefix", front, np.zeros(0)) if prefix else None
    op = Attend(causal=True, cache=cache)
    return definition(
        op, (*given, None, None, last), (*kinds, None, None, front if prefix else None)
    )


def session(profile, dtype="float32", *, cached=True, prefix=False):
    made = block(cache=cached, prefix=prefix)
    model = build_model(made, profile=profile, dtype=dtype, cached=cached)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run_step(runner, tensors, past):
    """One run: result, keys, values."""
    names = ("q", "k", "v", "keys", "prefix")
    feeds = dict(zip(names, tensors, strict=False))
    feeds["keys"] = feeds["keys"].astype(np.int64)
    feeds |= {
        f"past_key_values.0.{part}": x for part, x in zip(("key", "value"), past, strict=True)
    }
    return runner.run(["result", "present.0.key", "present.0.value"], feeds)


def run_steps(runner, stream, cuts):
    """Results of several steps, joined, and the cache after the last."""
    empty = stream.k[:, :, :0]
    past, results = (empty, empty), []
    for start, stop in zip((0, *cuts), cuts, strict=False):
        result, *past = run_step(runner, stream.step(start, stop), past)
        results.append(result)
    return np.concatenate(results, axis=2), past


CUTS = {"whole": (9,), "one by one": (5, 6, 7, 8, 9), "in pieces": (4, 6, 9)}
PREFIXES = {"causal": None, "prefix": (3, 4), "no prefix": (0, 0)}


REFUSED = ("causal", "ort", "in pieces")  # by ONNX Runtime, which the next test pins
STEPS = [case for case in product(PREFIXES, PROFILES, CUTS) if case != REFUSED]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("prefix", "profile", "cuts"), STEPS, ids=map("-".join, STEPS))
def test_onnx_steps_agree_with_the_definition(prefix, profile, cuts, dtype):
    prefix, cuts = PREFIXES[prefix], CUTS[cuts]
    stream = Stream(9, dtype=dtype, prefix=prefix)

    runner = session(profile, dtype, prefix=prefix is not None)
    found, (keys, values) = run_steps(runner, stream, cuts)

    stream.assert_real_rows_agree(found, TOLERANCE[dtype])
    np.testing.assert_array_equal(keys, stream.k)
    np.testing.assert_array_equal(values, stream.v)


def test_onnx_runtime_refuses_pieces_of_several_rows():
    with pytest.raises(
        ort.capi.onnxruntime_pybind11_state.InvalidArgument, match="batch_size must be 1"
    ):
        run_steps(session("ort"), Stream(9), CUTS["in pieces"])


def test_onnx_runtime_form_takes_pieces_of_a_single_row():
    stream = Stream(9)
    expected = stream.expected()[:1]
    for name in ("q", "k", "v", "keys"):
        setattr(stream, name, getattr(stream, name)[:1])

    found, _ = run_steps(session("ort"), stream, (4, 6, 9))

    np.testing.assert_allclose(found[:, :, 2:], expected[:, :, 2:], atol=2e-6)


def test_onnx_runtime_form_keeps_the_cache_in_one_buffer():
    stream, runner, room = Stream(6), session("ort"), 16
    _, (keys, values) = run_steps(runner, stream, (5,))
    buffers = [np.zeros((BATCH, GROUPS, room, WIDTH), np.float32) for _ in range(2)]
    for buffer, part in zip(buffers, (keys, values), strict=True):
        buffer[:, :, :5] = part

    found, keys, _ = run_step(runner, stream.step(5, 6), buffers)

    np.testing.assert_allclose(found, stream.expected()[:, :, 5:], atol=2e-6)
    np.testing.assert_array_equal(keys[:, :, :6], stream.k)
    assert keys.shape[2] == room


@pytest.mark.parametrize(
    ("width", "kind"), [(8, "GroupQueryAttention"), (4, "Attention")], ids=["wide", "narrow"]
)
def test_onnx_runtime_form_is_for_heads_that_its_kernel_takes(width, kind):
    model = build_model(block(cache=True, width=width), profile="ort", cached=True)

    assert kind in {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("profile", PROFILES)
def test_onnx_without_a_cache_agrees_with_the_definition(profile, dtype):
    stream = Stream(5, dtype=dtype)
    runner = session(profile, dtype, cached=False)
    feeds = (stream.q, stream.k, stream.v, stream.keys.astype(np.int64))

    (found,) = runner.run(
        None, dict(zip([i.name for i in runner.get_inputs()], feeds, strict=True))
    )

    stream.assert_real_rows_agree(found, TOLERANCE[dtype])


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
def test_torch_steps_agree_with_the_definition(prefix, cuts, tmp_path):
    stream = Stream(9, prefix=prefix)
    cache, results = KVCache(1, 9), []
    net = build_module(block(cache=True, prefix=prefix is not None), folder=tmp_path)
    for start, stop in zip((0, *cuts), cuts, strict=False):
        arrays = map(torch.from_numpy, stream.step(start, stop))
        results.append(net(*arrays, cache=cache))
        cache.advance(stop - start)

    stream.assert_real_rows_agree(torch.cat(results, dim=2).numpy(), 2e-6)
