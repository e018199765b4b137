"""Where the grammar and the library of blocks live: inside an installed package, or beside it in a checkout.

The only module that knows of places on disk. `grammars/` and `specs/` become `lmmdsl/_grammars` and `lmmdsl/_specs`
in a wheel; in a checkout (installed editable, or not at all) the sibling folders are read.
"""

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
