"""A decoder written by hand, of operations that exist only here: the backend without the front end."""

from dataclasses import dataclass

import numpy as np

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Definition,
    Graph,
    Input,
    Instance,
    Node,
    Param,
    Read,
    Repeat,
    Stack,
    Value,
)
from lmmdsl.graph.program import Program, Vocab
from lmmdsl.ops.base import Op
from lmmdsl.text.source import SourceFile, Span
from lmmdsl.types.tensor import DType, Rest, TensorType

FILE = SourceFile("/home/someone/decoder.lmm", "model Decoder {\n  layers\n}\n")
SPAN = Span(FILE, 18, 24)


class OnlyOnnx(Op):
    def torch(self, e, *args):
        raise AssertionError("these graphs are written for ONNX alone")


@dataclass(frozen=True, kw_only=True)
class Affine(OnlyOnnx):
    name = "affine"

    def onnx(self, g, x, weight, bias=None):
        # By rows, so that the run-time sizes are needed to restore the leading axes.
        rows = g.op("Reshape", x, g.shape([-1, g.inputs[0].shape[-1]]))
        y = g.op("Gemm", rows, weight, bias, transB=1)
        return g.op("Reshape", y, g.shape(g.outputs[0].shape))


@dataclass(frozen=True, kw_only=True)
class Plus(OnlyOnnx):
    name = "plus"

    def onnx(self, g, x, y):
        return g.op("Add", x, y)


@dataclass(frozen=True, kw_only=True)
class Split(OnlyOnnx):
    name = "split"
    heads: int

    def onnx(self, g, x):
        *leading, width = g.inputs[0].shape
        parts = g.op("Reshape", x, g.shape([*leading, self.heads, width.value // self.heads]))
        return g.op("Transpose", parts, perm=[0, 2, 1, 3])


@dataclass(frozen=True, kw_only=True)
class Join(OnlyOnnx):
    name = "join"

    def onnx(self, g, x):
        batch, heads, tokens, width = g.inputs[0].shape
        turned = g.op("Transpose", x, perm=[0, 2, 1, 3])
        return g.op("Reshape", turned, g.shape([batch, tokens, heads * width]))


@dataclass(frozen=True, kw_only=True)
class Attend(OnlyOnnx):
    name = "attend"
    cache: bool = True

    def onnx(self, g, q, k, v, keys):
        tokens = g.inputs[0].shape[2]
        mask = g.op("Unsqueeze", keys, g.const([1, 2], DType.INT))
        mask = g.op("Expand", mask, g.shape([1, 1, tokens, 1]))
        past = g.past()
        if past is None:
            return g.op("Attention", q, k, v, mask, is_causal=1)
        result, key, value = g.op("Attention", q, k, v, mask, *past, outputs=3, is_causal=1)
        g.present(key, value)
        return result


def tensor(*axes, dtype=DType.FLOAT):
    """A type: words are run-time sizes, `*b` open axes, numbers sizes."""
    return TensorType(dtype, tuple(map(_axis, axes)))


def _axis(axis):
    if isinstance(axis, int):
        return Dim.of(axis)
    return Rest(axis[1:]) if axis.startswith("*") else Dim.symbol(axis)


class Method:
    """A method graph under construction."""

    def __init__(self):
        self.nodes = []
        self.inputs = []

    def add(self, payload, inputs, kind, name=""):
        self.nodes.append(Node(payload, tuple(inputs), (kind,), SPAN, (name,)))
        return Value(len(self.nodes) - 1)

    def input(self, name, kind):
        self.inputs.append(self.add(Input(name), (), kind, name))
        return self.inputs[-1]

    def graph(self, *results):
        outputs = tuple(("result" if not i else f"result.{i}", v) for i, v in enumerate(results))
        return Graph(tuple(self.nodes), tuple(self.inputs), outputs, SPAN)


def definition(block, parts, doc="", **methods):
    return Definition(block, {}, doc, SPAN, {p.name: p for p in parts}, methods)


def affine(width, out):
    m = Method()
    x = m.input("x", tensor("*b", width))
    weight = m.add(Read("weight"), (), tensor(out, width))
    bias = m.add(Read("bias"), (), tensor(out))
    y = m.add(Apply(Affine()), (x, weight, bias), tensor("*b", out))
    params = [
        Param("weight", (Dim.of(out), Dim.of(width)), SPAN),
        Param("bias", (Dim.of(out),), SPAN),
    ]
    return definition("Affine", params, forward=m.graph(y))


def layer(width, heads):
    linear = affine(width, width)
    m = Method()
    x = m.input("x", tensor("B", "T", width))
    keys = m.input("keys", tensor("B", "S", dtype=DType.BOOL))
    split = tensor("B", heads, "T", width // heads)
    rows = [m.add(Call(p, "forward", linear), (x,), tensor("B", "T", width), p) for p in "qkv"]
    rows = [m.add(Apply(Split(heads=heads)), (row,), split) for row in rows]
    seen = m.add(Apply(Attend()), (*rows, keys), split, "seen")
    joined = m.add(Apply(Join()), (seen,), tensor("B", "T", width))
    out = m.add(Call("out", "forward", linear), (joined,), tensor("B", "T", width))
    y = m.add(Apply(Plus()), (x, out), tensor("B", "T", width), "x")
    parts = [Instance(name, linear, SPAN) for name in ("q", "k", "v", "out")]
    return definition("Layer", parts, "Attention with a residual.", forward=m.graph(y))


def decoder(width=6, heads=2, depth=3, vocab=11):
    """Root with `decode` and `logits`; its `layers` are one definition, `depth` times."""
    one, head = layer(width, heads), affine(width, vocab)
    m = Method()
    x = m.input("inputs_embeds", tensor("B", "T", width))
    keys = m.input("attention_mask", tensor("B", "S", dtype=DType.BOOL))
    stack = Repeat("layers", "forward", (one,) * depth, (depth,))
    decode = m.graph(m.add(stack, (x, keys), tensor("B", "T", width), "hidden"))
    m = Method()
    x = m.input("hidden", tensor("B", "T", width))
    logits = m.graph(m.add(Call("head", "forward", head), (x,), tensor("B", "T", vocab)))
    parts = [Stack("layers", (one,) * depth, SPAN), Instance("head", head, SPAN)]
    return definition("Decoder", parts, decode=decode, logits=logits)


def program(root):
    """A program around a root."""
    return Program(
        name="Decoder",
        doc="A decoder.",
        file=FILE,
        source="",
        root=root,
        full=root,
        roles=(),
        vocab=Vocab(11, {"eos": 2}),
    )


def random_weights(root, seed=0):
    """Arrays for all parameters, by path."""
    rng = np.random.default_rng(seed)
    return {
        path: rng.normal(size=[s.value for s in param.shape]).astype(np.float32) * 0.3
        for path, param in root.params()
    }
