"""A model twice: the emitted PyTorch module and the ONNX package, with the same random weights."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmmdsl.backends.onnx.run import Package
from lmmdsl.driver.products import build_module, save_weights, write_onnx
from lmmdsl.driver.verdict import Answer
from lmmdsl.graph.ir import Graph, Input
from lmmdsl.graph.program import Image, Program, Token, flat
from lmmdsl.types.tensor import Rest, TensorType

LIMIT = 2e-4  # of the largest value; both sides compute in float32
SPREAD = 0.02  # of the noise on every parameter
SIDE = 28  # pixels of an image whose size the model leaves open

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An answer, and how to search for its cause: run `method` on `inputs` once more."""

    answer: Answer
    method: str = ""
    inputs: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides of a model, and inputs for them."""

    program: Program
    net: Any
    package: Any
    profile: str
    random: np.random.Generator

    def has(self, *methods: str) -> bool:
        """Whether the model has all these methods."""
        return all(method in self.program.root.methods for method in methods)

    @property
    def image(self) -> Image | None:
        """The visual span of the first layout that has one."""
        segments = (s for layout in self.program.layouts for s in flat(layout.segments))
        return next((segment for segment in segments if isinstance(segment, Image)), None)

    def image_tokens(self) -> int:
        """How many tokens an image takes."""
        return int(self.net.encode(torch.from_numpy(self.pixels(1))).shape[1])

    def marks(self) -> list[int]:
        """Ids of the named tokens of the first layout, where facts may follow from them."""
        if not self.has("arrange"):
            return []
        segments = [
            segment for layout in self.program.layouts[:1] for segment in flat(layout.segments)
        ]
        seen = {item.seen for item in self.program.injections}
        ids = (s.id for s in segments if isinstance(s, Token) and s.name not in seen)
        return list(dict.fromkeys(ids))

    def visual(self, images: int) -> list[int]:
        """What stands for so many images in a prompt."""
        if self.image and self.image.row_end:
            rows, columns = self.net.encode(torch.from_numpy(self.pixels(1))).shape[1:3]
            row = [self.image.token.id] * int(columns) + [self.image.row_end.id]
            return row * int(rows) * images
        if self.image:
            return [self.image.token.id] * (self.image_tokens() * images if images else 0)
        seen = next((item.seen for item in self.program.injections if item.seen), None)
        return [self.program.vocab.tokens[seen]] * images if seen else []

    @property
    def splices(self) -> bool:
        """Whether visual rows stand among the words."""
        embed = self.program.root.methods.get("embed")
        return embed is not None and len(embed.inputs) > 1

    def pixels(self, images: int) -> Array:
        """Random images `[I, C, H, W]`."""
        graph = self.program.root.methods["encode"]
        (value,) = graph.inputs
        return random_value(self.random, graph.type_of(value), {"I": images})

    def words(self, count: int) -> list[int]:
        """Random ids that no named token has."""
        named = set(self.program.vocab.tokens.values())
        free = [number for number in range(self.program.vocab.rows or 2) if number not in named]
        return [int(number) for number in self.random.choice(free, count)]


def make_pair(program: Program, home: Path, *, profile: str, seed: int) -> Pair:
    """Make the module, save its weights, and write the package beside them."""
    torch.manual_seed(seed)
    net = build_module(program).eval()
    _stir(net)
    weights = home / "model.safetensors"
    save_weights(net, weights)
    write_onnx(program, home, weights=weights, profile=profile)
    random = np.random.default_rng(seed)
    return Pair(program=program, net=net, package=Package(home), profile=profile, random=random)


def _stir(net: Any) -> None:
    """Move every parameter: one that starts at zero would hide what it multiplies."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * SPREAD)


def compare(
    name: str,
    ours: Any,
    theirs: Any,
    *,
    method: str = "",
    inputs: Mapping[str, Array] | None = None,
) -> Comparison:
    """Measure how far two values are apart."""
    left, right = (np.asarray(value, np.float64) for value in (ours, theirs))
    absolute = relative = float("inf")
    if left.shape == right.shape:
        absolute = float(np.abs(left - right).max(initial=0.0))
        scale = float(np.abs(left).max(initial=0.0))
        relative = absolute / scale if scale else absolute
    answer = Answer(
        question=name,
        shape=left.shape,
        absolute=absolute,
        relative=relative,
        limit=LIMIT,
        agrees=relative <= LIMIT,
    )
    return Comparison(answer=answer, method=method, inputs=inputs or {})


def random_value(random: np.random.Generator, kind: TensorType, sizes: Mapping[str, int]) -> Array:
    """A random value of a type; run-time sizes are as given, else `SIDE` pixels, or 2, 3, ... patches."""
    axes = [axis for axis in kind.shape if not isinstance(axis, Rest)]
    known = dict(sizes)
    for axis in axes:
        for symbol in sorted(axis.symbols() - known.keys()):
            known[symbol] = SIDE if str(axis) == symbol else 2 + len(known) - len(sizes)
    shape = [axis.evaluate(known) for axis in axes]
    return random.standard_normal(shape).astype(np.float32)


def argument_names(graph: Graph) -> Iterator[str]:
    """Names of a method's arguments, in order."""
    for value in graph.inputs:
        payload = graph.nodes[value.node].payload
        assert isinstance(payload, Input)
        yield payload.name
