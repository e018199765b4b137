"""Small instance trees, written by hand."""

from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Instance, NamingRule, Param, Stack
from lmmdsl.graph.program import Program, Vocab, Weights
from lmmdsl.text.source import SourceFile, Span

FILE = SourceFile("tree.lmm", "model Tree {}\n")
SPAN = Span(FILE, 0, 5)


def rule(ours, *theirs, **more):
    paths = tuple(ours.split()) if ours else ()
    return NamingRule(paths, theirs, SPAN, **more)


def param(name, *shape):
    return Param(name, tuple(map(Dim.of, shape)), SPAN)


def definition(block, *parts, **naming):
    return Definition(
        block=block,
        binding={},
        doc="",
        span=SPAN,
        parts={part.name: part for part in parts},
        methods={},
        naming={scheme: tuple(rules) for scheme, rules in naming.items()},
    )


def part(name, block):
    return Instance(name, block, SPAN)


def stack(name, block, depth):
    return Stack(name, (block,) * depth, SPAN)


def linear(inputs, outputs):
    return definition("Linear", param("weight", outputs, inputs), param("bias", outputs))


def program(full, *rules, root=None, scheme="hf"):
    return Program(
        name="Tree",
        doc="",
        file=FILE,
        source="",
        root=root or full,
        full=full,
        roles=(),
        vocab=Vocab(None, {}),
        weights=(Weights(scheme, "org/tree", rules, SPAN),),
    )


def layer(width=4, **naming):
    parts = [part(name, linear(width, width)) for name in ("q", "k", "v", "out")]
    return definition("Layer", *parts, **naming)


SEPARATE = (rule("q", "self_attn.q_proj"), rule("out", "self_attn.out_proj"))
PACKED = (
    rule("q.weight k.weight v.weight", "attn.in_proj_weight"),
    rule("q.bias k.bias v.bias", "attn.in_proj_bias"),
    rule("out", "attn.out_proj"),
)


def tower(depth=2, **naming):
    block = layer(hf=SEPARATE, packed=PACKED)
    return definition("Tower", param("token", 4), stack("layers", block, depth), **naming)
