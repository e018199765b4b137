"""Flows for cases, methods that show every value a case asks for, and runs from ids and images to logits.

Axes: B batch (of a flow: images, or an encoder's results), T tokens, I images, N tokens of an image, D width.
"""

from collections.abc import Mapping

import numpy as np

from goldens_adapters.case import Array, BadCase, Case
from goldens_adapters.clip import shape
from goldens_adapters.model import Outputs, Runner, Taps

FLOW = "golden"


def flow_text(case: Case, source: str, results: Mapping[str, str], *, first: str = "") -> str:
    """A flow from the input `source` to those `results` that the case asks for.

    Args:
        case: tells the shapes of input and results.
        source: name of the input, also in the flow.
        results: an expression of the language per output.
        first: a statement in front.
    """
    types = ", ".join(f"{name}: {shape(case.outputs[name])}" for name in shown(case, results))
    values = ", ".join(shown(case, results).values())
    return f"""
  flow {FLOW}({source}: {shape(case.inputs[source])}) -> ({types}) {{
    {first}
    return {values}
  }}
"""


def inputs_of(case: Case, source: str) -> Outputs:
    """The input `source` of a case that has no other.

    Raises:
        BadCase: the reference read more.
    """
    more = sorted(set(case.inputs) - {source})
    if more:
        raise BadCase(f"this adapter takes {source}, not {', '.join(more)}")
    return {source: case.inputs[source].astype(np.float32)}


def shown(case: Case, results: Mapping[str, str]) -> dict[str, str]:
    """The results that the case asks for."""
    return {name: value for name, value in results.items() if name in case.outputs}


def add_flow(text: str, flow: str) -> str:
    """A spec with a flow at the end of its model, which is the last declaration."""
    end = text.rindex("}")
    return text[:end] + flow + text[end:]


def mask_of(case: Case) -> Array:
    """Which tokens of a case are real: bool [B, T]."""
    ids = case.inputs["input_ids"]
    return case.inputs.get("attention_mask", np.ones_like(ids)).astype(bool)


def images_of(case: Case) -> Array | None:
    """Images [I, C, H, W] of a case that has any."""
    images = case.inputs.get("pixel_values")
    return None if images is None or not len(images) else images.astype(np.float32)


def read_text(case: Case, ids: Array, runner: Runner, taps: Taps) -> Outputs:
    """Ids [B, T], with the images of the case at their placeholders, to logits; what parts gave on the way."""
    images = images_of(case)
    tokens = None if images is None else runner.encode(images, {})["result"]
    ids, mask = ids.astype(np.int64), mask_of(case)
    embeds = runner.embed(ids, tokens)
    outputs = {"inputs_embeds": embeds} | runner.decode(embeds, mask, taps, ids=ids)
    return outputs if tokens is None else outputs | {"connector_tokens": tokens}
