"""The parser's tables, built once per grammar and kept as JSON.

Building them takes longer than checking a spec; reading them back does not. A missing, stale or broken file is
built anew, and where nothing can be written every run builds them.
"""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from lmmdsl.resources import cache_folder, grammar_text

_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)


@cache
def grammar() -> Lark:
    """The parser of the language."""
    text = grammar_text()
    folder = cache_folder()
    if folder is None:
        return _build(text)
    digest = hashlib.sha256(f"{lark.__version__}\0{text}".encode()).hexdigest()
    path = folder / f"grammar-{digest[:16]}.json"
    try:
        return _load(json.loads(path.read_text(encoding="utf-8")))
    except _BROKEN:
        parser = _build(text)
        _save(parser, path)
        return parser


def _build(text: str) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
        maybe_placeholders=True,
        start=["start", "expr"],
    )


def _save(parser: Lark, path: Path) -> None:
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        scratch.write_text(json.dumps([data, memo]), encoding="utf-8")
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)


def _load(stored: list[dict[str, Any]]) -> Lark:
    data, memo = stored
    table = data["parser"]["parser"]
    table["states"] = {int(state): moves for state, moves in table["states"].items()}  # JSON keys are strings
    return Lark._load_from_dict(data, {int(key): item for key, item in memo.items()})
