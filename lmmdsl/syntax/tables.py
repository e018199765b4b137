"""The parser and its tables, built once per grammar and kept as JSON.

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
from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken
from lark.grammar import Rule
from lark.lexer import TerminalDef

from lmmdsl.resources import cache_folder, grammar_text

_BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)


def parse_tree(text: str, start: str, *, concrete: bool = False) -> Tree[Token]:
    """Parse a text; raises lark's `UnexpectedInput`. A `concrete` tree keeps every token."""
    return grammar(concrete).parse(text, start=start, on_error=_is_a_name)


def _is_a_name(error: UnexpectedInput) -> bool:
    """Go on where a word such as `vocab` is a keyword elsewhere, but can only be a name here.

    The lexer offers a keyword wherever the tables allow it to end a rule, which is more often than it may follow.
    """
    if not isinstance(error, UnexpectedToken) or not error.token.isidentifier():
        return False
    parser = error.interactive_parser
    if error.token.type == "NAME" or "NAME" not in error.accepts:
        return False
    parser.feed_token(Token.new_borrow_pos("NAME", error.token, error.token))
    return True


@cache
def grammar(concrete: bool = False) -> Lark:
    """The parser of the language."""
    text = grammar_text()
    folder = cache_folder()
    if folder is None:
        return _build(text, concrete)
    digest = hashlib.sha256(f"{lark.__version__}\0{concrete}\0{text}".encode()).hexdigest()
    path = folder / f"grammar-{digest[:16]}.json"
    try:
        return _load(json.loads(path.read_text(encoding="utf-8")))
    except _BROKEN:
        parser = _build(text, concrete)
        _save(parser, path)
        return parser


def _build(text: str, concrete: bool) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer="contextual",
        propagate_positions=not concrete,
        maybe_placeholders=not concrete,
        keep_all_tokens=concrete,
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
    table["states"] = {
        int(state): moves for state, moves in table["states"].items()
    }  # JSON keys are strings
    # What lark offers in public reads pickles, which run code: this is its way back from plain data, without types.
    return Lark._load_from_dict(data, {int(key): item for key, item in memo.items()})  # type: ignore[no-any-return, no-untyped-call]
