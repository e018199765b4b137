"""Flows of a model beside its image-and-text pipeline: each is run on random inputs, at two sets of sizes."""

from collections.abc import Iterator

import numpy as np
import torch

from lmmdsl.driver.verify_pair import Array, Comparison, Pair, argument_names, compare, random_value
from lmmdsl.types.tensor import DType, Rest, TensorType

PIPELINE = ("encode", "embed", "arrange", "decode", "logits")
FIRST, SECOND = 2, 5  # run-time sizes count up from here


def compare_flows(pair: Pair) -> Iterator[Comparison]:
    """Compare every flow that is no part of the pipeline."""
    piped = PIPELINE if pair.has("decode", "logits") else ()
    for method in pair.program.root.methods:
        if method not in piped:
            yield from (_compare_flow(pair, method, start) for start in (FIRST, SECOND))


def _compare_flow(pair: Pair, method: str, start: int) -> Comparison:
    graph = pair.program.root.methods[method]
    kinds = [graph.type_of(value) for value in graph.inputs]
    symbols = sorted({s for kind in kinds for s in _symbols(kind)})
    sizes = {symbol: start + index for index, symbol in enumerate(symbols)}
    names = list(argument_names(graph))
    inputs = {n: _value(pair, k, sizes) for n, k in zip(names, kinds, strict=True)}
    ours = getattr(pair.net, method)(*(torch.from_numpy(inputs[name]) for name in names))
    theirs = pair.package.run(method, inputs)
    first = ours[0] if isinstance(ours, tuple) else ours
    shown = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
    name = f"{method}, {shown}" if shown else method
    return compare(name, first, next(iter(theirs.values())), method=method, inputs=inputs)


def _value(pair: Pair, kind: TensorType, sizes: dict[str, int]) -> Array:
    value = random_value(pair.random, kind, sizes)
    match kind.dtype:
        case DType.BOOL:
            return np.ones(value.shape, bool)
        case DType.INT:
            return np.asarray(pair.random.integers(0, 2, value.shape))
        case DType.FLOAT:
            return value


def _symbols(kind: TensorType) -> set[str]:
    return {s for axis in kind.shape if not isinstance(axis, Rest) for s in axis.symbols()}
