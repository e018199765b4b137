"""A model as one Python file that needs nothing but torch.

Takes a program, or a single definition; gives the text. The file holds the runtime functions that
the model calls, then one class per distinct block, parts before the blocks that hold them, the
model last. Definitions that come out as the same text share a class. The text is formatted as `ruff
format` would.
"""

import re
from collections.abc import Iterator

from lmmdsl.backends.torch.classes import Classes, ClassWriter
from lmmdsl.backends.torch.families import Families, Family
from lmmdsl.backends.torch.layout import docstring
from lmmdsl.backends.torch.leaves import leaf_module
from lmmdsl.backends.torch.names import class_names
from lmmdsl.backends.torch.pieces import import_lines, names_in, needed, pieces
from lmmdsl.backends.torch.reader import ReaderWriter
from lmmdsl.backends.torch.root import RootWriter
from lmmdsl.backends.torch.slots import Slots
from lmmdsl.graph.ir import Definition, distinct
from lmmdsl.graph.names import file_name
from lmmdsl.graph.program import Program
from lmmdsl.passes.count import goes_on
from lmmdsl.passes.keep import STEP
from lmmdsl.version import __version__

_AXES = re.compile(r"\bAxes:\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL)
_MODULE_DOC = re.compile(r'\s*"""(.*?)"""', re.DOTALL)


def emit_source(model: Program | Definition) -> str:
    """The text of the file."""
    root = root_of(model)
    helpers: set[str] = set()
    classes = list(_classes(model, root, helpers))
    library = needed(helpers)
    code = "\n\n\n".join([*(piece.text for piece in library), *classes])
    parts = [
        "\n".join(docstring(_file_doc(model, root), indent=0)),
        "\n".join(import_lines(names_in(code))),
    ]
    return "\n\n".join(parts) + "\n\n\n" + code + "\n"


def root_of(model: Program | Definition) -> Definition:
    """The definition of the model itself."""
    return model.root if isinstance(model, Program) else model


def root_class(model: Program | Definition) -> str:
    """Name of the class of the model."""
    root = root_of(model)
    return _named(root, Families(root))[root]


def _named(root: Definition, families: Families) -> dict[Family | Definition, str]:
    """Class names of the families, and that of the model."""
    firsts = [next(iter(family.sizes)) for family in families.all]
    names = class_names(root, [*firsts, root], pieces())
    found: dict[Family | Definition, str] = {root: names[root]}
    return found | {f: names[first] for f, first in zip(families.all, firsts, strict=True)}


def _classes(model: Program | Definition, root: Definition, helpers: set[str]) -> Iterator[str]:
    slots, families = Slots(root, _whole(model)), Families(root)
    for family in families.all:
        same = [item for item, (other, _) in families.stands_for.items() if other is family]
        slots.unite(family.sizes, [family.pattern, *same])
    classes = Classes(families, _named(root, families))
    reserved = frozenset(pieces()) | frozenset(classes.names.values())
    written: dict[str, str] = {}
    for family in families.all:
        writer = ClassWriter(family.pattern, classes, slots, helpers, reserved, family)
        head, *body = writer.write()
        name = written.setdefault("\n".join(body), classes.names[family])
        if name == classes.names[family]:
            classes.takes[name] = writer.takes()
            yield "\n".join([head, *body])
        classes.names[family] = name
    last = (
        _root_writer(model)(root, classes, slots, helpers, reserved, program=model)
        if isinstance(model, Program)
        else ClassWriter(root, classes, slots, helpers, reserved)
    )
    yield "\n".join(last.write())


def _whole(model: Program | Definition) -> list[str]:
    """Methods of a model that do not go on step by step."""
    if not isinstance(model, Program):
        return []
    return [name for name in model.root.methods if name != STEP and not goes_on(model.root, name)]


def _root_writer(model: Program) -> type[RootWriter]:
    return ReaderWriter if {"read", "decode"} <= model.root.methods.keys() else RootWriter


def _file_doc(model: Program | Definition, root: Definition) -> str:
    name = model.name if isinstance(model, Program) else root.block
    summary = (
        (model.doc.strip() or name) if isinstance(model, Program) else root.doc.strip() or name
    )
    parts = [summary]
    if isinstance(model, Program) and model.source:
        parts.append(f"Source: {model.source}")
    parts.append(
        f"Made by lmmdsl {__version__} from {_origin(model, root)}.\nIt needs only PyTorch."
    )
    axes = _glossary(root)
    if axes:
        parts.append("\n".join(["Axes:", *(f"    {file}: {text}" for file, text in axes.items())]))
    return "\n\n".join(parts)


def _origin(model: Program | Definition, root: Definition) -> str:
    origin = file_name(root.span.file.name)
    if isinstance(model, Program):
        origin += f", variant {model.variant}" if model.variant else ""
        origin += f" (sha256 {model.spec_hash[:16]})" if model.spec_hash else ""
    return origin


def _glossary(root: Definition) -> dict[str, str]:
    """The axes that the spec's files explain in their first docstring, by file."""
    found: dict[str, str] = {}
    for item in distinct(root):
        file = item.span.file
        head = _MODULE_DOC.match(file.text)
        axes = _AXES.search(head[1]) if head and leaf_module(item) is None else None
        if axes:
            found.setdefault(file_name(file.name), " ".join(axes[1].split()))
    return found
