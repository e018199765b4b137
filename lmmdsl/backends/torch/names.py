"""Names in emitted files: classes, attributes, local variables.

Everything that a spec names passes through here, so that it is a Python identifier and hides
nothing.
"""

import builtins
import keyword
from collections.abc import Iterable

from torch import nn

from lmmdsl.backends.torch.answering import Answering
from lmmdsl.backends.torch.training import AdaptedStages
from lmmdsl.graph.ir import Definition
from lmmdsl.graph.names import definition_names

MODULE_NAMES = frozenset({"torch", "nn", "F", "Tensor", "self", "cache"})
_TAKEN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | MODULE_NAMES
_MODULE_ATTRIBUTES = frozenset(
    {"layer", "facts", *dir(nn.Module()), *dir(Answering), *dir(AdaptedStages)}
)

# What a value is called when the spec gives it no name, by the operation that makes it.
NOUNS = {
    "add": "total",
    "arange": "places",
    "argmax": "best",
    "attend": "attended",
    "avg_pool2d": "pooled",
    "cast": "number",
    "concat": "joined",
    "conv2d": "convolved",
    "cumsum": "counted",
    "div": "ratio",
    "embed": "rows",
    "equal": "same",
    "exp": "grown",
    "expand": "spread",
    "floor_div": "quotient",
    "full": "filled",
    "gather": "picked",
    "gelu": "active",
    "greater": "above",
    "greater_equal": "reached",
    "grid_sample": "sampled",
    "index_select": "picked",
    "layer_norm": "normed",
    "less": "below",
    "less_equal": "within",
    "linear": "projected",
    "logical_and": "both",
    "logical_not": "others",
    "logical_or": "either",
    "matmul": "product",
    "max": "largest",
    "max_pool2d": "pooled",
    "mean": "mean",
    "mul": "product",
    "normalize": "normed",
    "pad": "padded",
    "position_bucket": "bucket",
    "quick_gelu": "active",
    "rearrange": "arranged",
    "relu": "active",
    "remainder": "rest",
    "resize2d": "resized",
    "rms_norm": "normed",
    "rotate": "rotated",
    "rsqrt": "scale",
    "select": "selected",
    "sigmoid": "active",
    "silu": "active",
    "slice": "taken",
    "softmax": "chances",
    "splice": "spliced",
    "split": "pieces",
    "sqrt": "root",
    "square": "squared",
    "stack": "stacked",
    "sub": "difference",
    "sum": "summed",
    "tanh": "active",
    "topk": "top",
    "unsqueeze": "column",
    "var": "variance",
    "where": "chosen",
}


def safe(name: str, taken: Iterable[str] = ()) -> str:
    """An identifier that is no keyword, no builtin and not in `taken`."""
    while name in _TAKEN or name in taken:
        name += "_"
    return name


def attribute(name: str) -> str:
    """A part's or method's name as an attribute; one that a module has itself gets an underscore.

    Different names stay different.
    """
    stem = name.rstrip("_")
    if stem in _MODULE_ATTRIBUTES or keyword.iskeyword(stem) or name.startswith("__"):
        return f"{'part' if name.startswith('__') else ''}{name}_"
    return name


def reach(path: str) -> str:
    """The expression for a part by dotted path (`layers.0.attn` -> `self.layers[0].attn`)."""
    steps = (f"[{step}]" if step.isdigit() else f".{attribute(step)}" for step in path.split("."))
    return "self" + "".join(steps)


def class_names(
    root: Definition, items: Iterable[Definition], taken: Iterable[str]
) -> dict[Definition, str]:
    """A distinct class name for each definition that hides nothing."""
    names = definition_names(root, items, {*taken, *_TAKEN})
    # Inside a class, Python takes a name with two underscores in front for a private one.
    return {item: f"Block{name}" if name.startswith("__") else name for item, name in names.items()}
