"""Where two runs of a method part: the first part of the model whose result differs.

The method is written once more as a flat ONNX graph that gives what every part gave; the module gives the same
through hooks. Parts are compared in the order in which they finish.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import torch

from lmmdsl.backends.onnx.component import Component, flow_component
from lmmdsl.backends.onnx.export import embed_weights
from lmmdsl.backends.onnx.frame import Options
from lmmdsl.backends.onnx.protos import FLOATS
from lmmdsl.backends.torch.names import attribute
from lmmdsl.driver.verify_pair import Array, Pair, argument_names, compare


def first_difference(pair: Pair, method: str, inputs: Mapping[str, Array]) -> str:
    """The path of the first part that differs, or "" when each part agrees by itself."""
    element = FLOATS["float32"]
    part = flow_component(
        pair.program.root, method, Options(profile=pair.profile, floats=element, flat=True)
    )
    weights = {path: value.numpy() for path, value in pair.net.state_dict().items()}
    embed_weights(part, weights, element=element)
    theirs = _run_flat(part, inputs)
    ours = _run_hooked(pair, method, inputs, set(theirs))
    parted = (
        path
        for path, value in theirs.items()
        if path in ours and not compare(path, ours[path], value).answer.agrees
    )
    return next(parted, "")


def _run_flat(part: Component, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What every part gave, by path, in order."""
    taps = {tap.path: tap.values[0] for tap in part.taps if tap.method == "forward"}
    graph = part.model.graph
    known = {item.name: item for item in graph.value_info}
    graph.output.extend(known[name] for name in dict.fromkeys(taps.values()) if name in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # constants that only the whole model reads are no news here
    session = onnxruntime.InferenceSession(
        part.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [item.name for item in session.get_outputs()]
    wanted = {item.name: item.type for item in session.get_inputs()}
    feeds = {name: _fed(inputs[name], wanted[name]) for name in wanted}
    values = dict(zip(names, session.run(names, feeds), strict=True))
    return {path: values[name] for path, name in taps.items() if name in values}


def _fed(value: Array, kind: str) -> Array:
    return value.astype(np.int64) if kind == "tensor(int64)" else value


def _run_hooked(
    pair: Pair, method: str, inputs: Mapping[str, Array], paths: set[str]
) -> dict[str, Array]:
    found: dict[str, Array] = {}

    def keep(path: str) -> Any:
        def hook(_module: Any, _arguments: Any, result: Any) -> None:
            first = result[0] if isinstance(result, tuple) else result
            if isinstance(first, torch.Tensor):
                found.setdefault(path, first.numpy())

        return hook

    modules = dict(pair.net.named_modules())
    hooks = [modules[p].register_forward_hook(keep(p)) for p in paths if p in modules]
    names = argument_names(pair.program.root.methods[method])
    arguments = [torch.from_numpy(inputs[name]) if name in inputs else None for name in names]
    getattr(pair.net, attribute(method))(*arguments)
    for hook in hooks:
        hook.remove()
    return found
