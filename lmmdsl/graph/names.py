"""What definitions and places are called in files that are made from a program."""

from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from lmmdsl.graph.ir import Definition, Instance, Stack, distinct
from lmmdsl.text.source import Span


def file_name(name: str) -> str:
    """A spec's file without the folders of this machine (library files keep their own)."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "/".join(parts[parts.index("std") :] if "std" in parts else parts[-1:])


def place(span: Span) -> str:
    """`file.lmm:line` without the folders of this machine."""
    return f"{file_name(span.file.name)}:{span.line}"


def camel(path: str) -> str:
    """`llm.layers` and `llm_layers` as `LlmLayers`."""
    return "".join(word.capitalize() for word in path.replace(".", "_").split("_"))


def definition_names(
    root: Definition, items: Iterable[Definition], taken: Collection[str] = ()
) -> dict[Definition, str]:
    """A distinct name for each definition, none of those that are taken.

    It is the name of the block. One that is bound in several ways in different parts of the model takes the part in
    front (`VisionMlp`); a number tells apart what is left.
    """
    items = tuple(items)
    owners = _owners(root)
    users: dict[str, set[str]] = {}
    for item in items:
        users.setdefault(item.block, set()).add(owners.get(item, ""))
    names: dict[Definition, str] = {}
    for item in items:
        shared = len(users[item.block]) > 1 and item is not root
        stem = camel(owners.get(item, "")) + item.block if shared else item.block
        names[item] = _free(stem, {*names.values(), *taken})
    return names


def _owners(root: Definition) -> dict[Definition, str]:
    """The first part of the model that each definition stands in."""
    found: dict[Definition, str] = {}
    for part in root.parts.values():
        match part:
            case Instance(definition=inner):
                tops: Iterable[Definition] = (inner,)
            case Stack(definitions=layers):
                tops = dict.fromkeys(layers)
            case _:
                continue
        for definition in (item for top in tops for item in distinct(top)):
            found.setdefault(definition, part.name)
    return found


def _free(stem: str, taken: set[str]) -> str:
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}{number}", number + 1
    return name
