"""Flows of a model beside its image-and-text pipeline: each is run on random inputs, at two sets of sizes.

A flow that keeps keys and values is run in steps, too. Axes: T tokens of a step, S tokens so far and now.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from lmmdsl.backends.torch.names import attribute
from lmmdsl.driver.verify_pair import Array, Comparison, Pair, argument_names, compare, random_value
from lmmdsl.graph.ir import Graph
from lmmdsl.passes.count import SEEN, STEP, goes_on, new_tokens
from lmmdsl.types.tensor import DType, Rest, TensorType

PIPELINE = ("encode", "embed", "read", "arrange", "decode", "logits")
FIRST, SECOND = 2, 5  # run-time sizes count up from here
Inputs = Mapping[str, Array]


def compare_flows(pair: Pair) -> Iterator[Comparison]:
    """Compare every flow that is no part of the pipeline."""
    piped = PIPELINE if pair.has("decode", "logits") else ()
    for method in pair.program.root.methods:
        if method not in piped:
            yield from (_compare_flow(pair, method, start) for start in (FIRST, SECOND))
            yield from _compare_steps(pair, method)


def _compare_flow(pair: Pair, method: str, start: int) -> Comparison:
    graph = pair.program.root.methods[method]
    sizes = _sizes(graph, start)
    inputs = _inputs(pair, graph, sizes)
    shown = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
    name = f"{method}, {shown}" if shown else method
    ours = _torch(pair, method, inputs)
    theirs = pair.package.run(method, inputs)
    return compare(name, ours, next(iter(theirs.values())), method=method, inputs=inputs)


def _compare_steps(pair: Pair, method: str) -> Iterator[Comparison]:
    """The first tokens, then one, then the rest, each going on where the last ones ended."""
    if not goes_on(pair.program.root, method):
        return
    graph = pair.program.root.methods[method]
    inputs = _inputs(pair, graph, _sizes(graph, SECOND))
    whole = _torch(pair, method, inputs)
    axis = graph.type_of(graph.outputs[0][1]).shape.index(_symbol(graph))
    for name, steps in (("torch", _torch_steps), ("onnx", _onnx_steps)):
        joined = np.concatenate(list(steps(pair, method, inputs)), axis)
        yield compare(f"{method}, in steps = whole, {name}", joined, whole)


def _torch(pair: Pair, method: str, inputs: Inputs, **cache: object) -> Array:
    result = getattr(pair.net, attribute(method))(*map(torch.from_numpy, inputs.values()), **cache)
    first = result[0] if isinstance(result, tuple) else result
    return np.asarray(first)


def _torch_steps(pair: Pair, method: str, inputs: Inputs) -> Iterator[Array]:
    graph = pair.program.root.methods[method]
    cache = pair.net.make_cache(max(max(value.shape) for value in inputs.values()))
    for step in _cut(graph, inputs):
        yield _torch(pair, method, step, cache=cache)


def _onnx_steps(pair: Pair, method: str, inputs: Inputs) -> Iterator[Array]:
    graph = pair.program.root.methods[method]
    past: dict[str, Array] = {}
    for step in _cut(graph, inputs):
        results = pair.package.run(method, {**step, **past})
        yield next(iter(results.values()))
        past = {
            name.replace("present", "past_key_values"): value
            for name, value in results.items()
            if name.startswith("present.")
        }


def _cut(graph: Graph, inputs: Inputs) -> Iterator[Inputs]:
    """Inputs of three steps: T is cut into pieces, S grows by them."""
    found = new_tokens(graph)
    assert found is not None
    total = inputs[graph.name_of(found[0])].shape[found[1]]
    kinds = {graph.name_of(value): graph.type_of(value) for value in graph.inputs}
    for start, stop in ((0, total - 3), (total - 3, total - 2), (total - 2, total)):
        spans = {STEP: slice(start, stop), SEEN: slice(0, stop)}
        yield {
            name: value[tuple(spans.get(str(axis), slice(None)) for axis in kinds[name].shape)]
            for name, value in inputs.items()
        }


def _symbol(graph: Graph) -> object:
    found = new_tokens(graph)
    assert found is not None
    return graph.type_of(found[0]).shape[found[1]]


def _sizes(graph: Graph, start: int) -> dict[str, int]:
    kinds = [graph.type_of(value) for value in graph.inputs]
    symbols = sorted({s for kind in kinds for s in _symbols(kind)})
    sizes = {symbol: start + index for index, symbol in enumerate(symbols)}
    if new_tokens(graph) is not None:
        sizes[SEEN] = sizes[STEP]
    return sizes


def _inputs(pair: Pair, graph: Graph, sizes: Mapping[str, int]) -> Inputs:
    kinds = (graph.type_of(value) for value in graph.inputs)
    return {
        name: _value(pair, kind, sizes)
        for name, kind in zip(argument_names(graph), kinds, strict=True)
    }


def _value(pair: Pair, kind: TensorType, sizes: Mapping[str, int]) -> Array:
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
