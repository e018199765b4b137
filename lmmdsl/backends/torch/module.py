"""The live module: the emitted file, imported.

Takes a program or a definition; writes its source to a file and gives an instance of its last
class. Files are named by their content, so a file that is there already is the same one. Unless a
folder is given they go to a private folder of the user, which nobody else can write to.
"""

import hashlib
import os
import stat
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from lmmdsl.backends.torch.names import attribute
from lmmdsl.backends.torch.source import emit_source, root_class, root_of
from lmmdsl.graph.ir import Definition
from lmmdsl.graph.program import Program
from lmmdsl.passes.fuse import fuse, fuse_program, packed_paths
from lmmdsl.passes.keep import keep_program
from lmmdsl.passes.narrow import narrow, narrow_program
from lmmdsl.passes.route import route_program


def build_module(
    model: Program | Definition,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    folder: "str | os.PathLike[str] | None" = None,
    level: int = 0,
) -> nn.Module:
    """Make the module of a program.

    Args:
        model: a checked model, or one block of it.
        dtype: element kind of the parameters (torch's default, if not given).
        device: where to make them; `meta` makes none.
        folder: where the source goes.
        level: 1 fuses parallel linear layers, which is faster but renames their parameters.

    Returns:
        The module; `source_file` is the path of its source. `lmm_program` is the program, and
        `lmm_packed` names the parameters of the program that a parameter of the module holds,
        where these are several or have another name.
    """
    origin = model
    model = optimized(model, level)
    name = root_class(model)
    file = write_source(
        emit_source(model), name, Path(folder) if folder is not None else private_folder()
    )
    module = import_file(file)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype or before)
        with torch.device(device if device is not None else torch.get_default_device()):
            net: nn.Module = getattr(module, name)()
    finally:
        torch.set_default_dtype(before)
    object.__setattr__(net, "source_file", str(file))
    object.__setattr__(net, "lmm_packed", held_paths(root_of(model)))
    if isinstance(origin, Program):
        object.__setattr__(net, "lmm_program", origin)
    return net


def optimized(model: Program | Definition, level: int) -> Program | Definition:
    """The model as it is emitted at a level of optimization."""
    if isinstance(model, Program):
        kept = keep_program(model)
        return narrow_program(route_program(fuse_program(kept) if level else kept))
    return narrow(fuse(model) if level else model)


def held_paths(root: Definition) -> dict[str, tuple[str, ...]]:
    """By path in the module: parameters of the program that are packed or renamed there."""
    packed = packed_paths(root)
    held = {}
    for path, _ in root.params():
        own = ".".join(attribute(step) for step in path.split("."))
        if own != path or path in packed:
            held[own] = packed.get(path, (path,))
    return held


def write_source(text: str, name: str, folder: Path) -> Path:
    """Write a source to a file named by its content; gives the path."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / f"modeling_{name.lower()}_{digest}.py"
    if file.exists() and file.read_text(encoding="utf-8") == text:
        return file
    folder.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=folder, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(draft, file)
    return file


def import_file(file: Path) -> ModuleType:
    """Import a file under its own name, once."""
    name = f"lmmdsl_emitted.{file.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(file):
        return known
    spec = spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # so that classes can be pickled and tracebacks show the source
    spec.loader.exec_module(module)
    return module


def private_folder() -> Path:
    """A folder of this user alone.

    Raises:
        PermissionError: it exists, but others own it or may write to it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "lmmdsl" / "modules"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if hasattr(os, "getuid") and (
        found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ):
        raise PermissionError(f"{folder} can be written by others")
    return folder
