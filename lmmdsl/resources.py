"""Where the grammar and the library of blocks live: inside an installed package, or beside it in a checkout.

The only module that knows of places on disk. `grammars/` and `specs/` become `lmmdsl/_grammars` and `lmmdsl/_specs`
in a wheel; in a checkout (installed editable, or not at all) the sibling folders are read.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    shipped = _PACKAGE / f"_{name}"
    return shipped if shipped.is_dir() else _PACKAGE.parent / name


def grammar_text() -> str:
    """The grammar of the language, in lark's notation."""
    return (_folder("grammars") / "lmm.lark").read_text(encoding="utf-8")


def specs_folder() -> Path:
    """The folder of the shipped specs."""
    return _folder("specs")


def library_folder() -> Path:
    """The folder that holds the standard library, `std.vision.vit` being `vision/vit.lmm` in it."""
    return specs_folder() / "std"


def cache_folder() -> Path | None:
    """A private folder of this user for derived files, or None where none can be made.

    `LMMDSL_CACHE` names another one. Everything in it can be deleted at any time.
    """
    chosen = os.environ.get("LMMDSL_CACHE")
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = Path(chosen) if chosen else base / "lmmdsl"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # a user without a home raises RuntimeError
        return None
    return folder
