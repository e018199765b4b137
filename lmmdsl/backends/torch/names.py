"""Names in emitted files: classes, attributes, local variables, source places.

Everything that a spec names passes through here, so that it is a Python identifier and hides
nothing.
"""

import builtins
import keyword
from collections.abc import Iterable
from pathlib import PurePosixPath

from torch import nn

from lmmdsl.backends.torch.answering import Answering
from lmmdsl.backends.torch.training import Stages
from lmmdsl.graph.ir import Definition, Instance, Stack, distinct
from lmmdsl.text.source import Span

MODULE_NAMES = frozenset({"torch", "nn", "F", "Tensor", "self", "cache"})
_TAKEN = frozenset(dir(builtins)) | frozenset(keyword.kwlist) | MODULE_NAMES
_MODULE_ATTRIBUTES = frozenset({"layer", "facts", *dir(nn.Module()), *dir(Answering), *dir(Stages)})

# What a value is called when the spec gives it no name, by the operation that makes it.
NOUNS = {
    "add": "total",
    "arange": "places",
    "attend": "attended",
    "cast": "number",
    "concat": "joined",
    "cumsum": "counted",
    "div": "ratio",
    "embed": "rows",
    "equal": "same",
    "expand": "spread",
    "floor_div": "quotient",
    "gather": "picked",
    "greater": "above",
    "greater_equal": "reached",
    "index_select": "picked",
    "less": "below",
    "less_equal": "within",
    "linear": "projected",
    "logical_and": "both",
    "logical_or": "either",
    "max": "largest",
    "mean": "mean",
    "mul": "product",
    "position_bucket": "bucket",
    "rearrange": "arranged",
    "remainder": "rest",
    "rotate": "rotated",
    "select": "selected",
    "softmax": "chances",
    "splice": "spliced",
    "sub": "difference",
    "sum": "summed",
    "unsqueeze": "column",
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


def place(span: Span) -> str:
    """`file.lmm:line` without the folders of this machine (library files keep their own)."""
    return f"{file_name(span.file.name)}:{span.line}"


def file_name(name: str) -> str:
    """A spec's file without the folders of this machine (library files keep their own)."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "/".join(parts[parts.index("std") :] if "std" in parts else parts[-1:])


def class_names(
    root: Definition, items: Iterable[Definition], taken: Iterable[str]
) -> dict[int, str]:
    """A distinct class name for each definition, by `id`.

    It is the name of the block; a block that is bound in several ways takes the model's part in
    front (`VisionMlp`), then a number.
    """
    items = tuple(items)
    owners: dict[int, str] = {}
    for part in root.parts.values():
        if isinstance(part, Instance | Stack):
            for definition in _under(part):
                owners.setdefault(id(definition), part.name)
    blocks = [item.block for item in items]
    names: dict[int, str] = {}
    for item in items:
        alone = blocks.count(item.block) == 1 or item is root
        stem = item.block if alone else _camel(owners.get(id(item), "")) + item.block
        if stem.startswith("__"):  # inside a class, Python would take it for a private name
            stem = f"Block{stem}"
        names[id(item)] = _free(stem, {*names.values(), *taken, *_TAKEN})
    return names


def _under(part: Instance | Stack) -> tuple[Definition, ...]:
    tops = (
        (part.definition,) if isinstance(part, Instance) else tuple(dict.fromkeys(part.definitions))
    )
    return tuple(item for top in tops for item in distinct(top))


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _free(stem: str, taken: set[str]) -> str:
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}{number}", number + 1
    return name
