"""Names in ONNX files: axes, functions, source places.

Takes names of the program; gives names that viewers fold well and that are the same on every
machine.
"""

from pathlib import PurePosixPath

from lmmdsl.graph.ir import Definition, Instance, Stack, distinct
from lmmdsl.text.source import Span

# What other tools call the run-time sizes of a decoder; a symbol not listed keeps its own name.
AXES = {
    "B": "batch_size",
    "T": "sequence_length",
    "S": "total_sequence_length",
    "P": "past_sequence_length",
    "I": "num_images",
}


def place(span: Span) -> str:
    """`file.lmm:line` without the folders of this machine (library files keep their own)."""
    parts = PurePosixPath(span.file.name.replace("\\", "/")).parts
    kept = parts[parts.index("std") :] if "std" in parts else parts[-1:]
    return f"{'/'.join(kept)}:{span.line}"


def camel(path: str) -> str:
    """`llm.layers` as `LlmLayers`."""
    return "".join(word.capitalize() for word in path.replace(".", "_").split("_"))


def definition_names(root: Definition) -> dict[int, str]:
    """A distinct name for every definition, by `id`.

    The name of the block; blocks that are bound in several ways take the model's part in front
    (`VisionMlp`), then a number.
    """
    owners: dict[int, str] = {}
    for part in root.parts.values():
        if isinstance(part, Instance | Stack):
            for definition in _under(part):
                owners.setdefault(id(definition), part.name)
    items = distinct(root)
    blocks = [item.block for item in items]
    names: dict[int, str] = {}
    for item in items:
        unique = blocks.count(item.block) == 1
        stem = item.block if unique else camel(owners.get(id(item), "")) + item.block
        names[id(item)] = _free(stem, names)
    return names


def _under(part: Instance | Stack) -> tuple[Definition, ...]:
    tops = (part.definition,) if isinstance(part, Instance) else dict.fromkeys(part.definitions)
    return tuple(item for top in tops for item in distinct(top))


def _free(stem: str, names: dict[int, str]) -> str:
    taken = set(names.values())
    number = 2
    name = stem
    while name in taken:
        name, number = f"{stem}{number}", number + 1
    return name


def slashed(path: str) -> str:
    """`llm.layers.3.attn` as `llm/layers.3/attn`, the form that graph viewers fold."""
    words: list[str] = []
    for word in path.split(".") if path else ():
        if word.isdigit() and words:
            words[-1] += "." + word
        else:
            words.append(word)
    return "/".join(words)
