"""Write what follows from the grammar and the operations.

- grammars/lmm.tmLanguage.json: the editor's highlighting, from the terminals of grammars/lmm.lark
- the table of operations in grammars/README.md

    python tools/gen_grammar.py           write them
    python tools/gen_grammar.py --check   exit 1 if one is stale
"""

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path

from lark.lexer import PatternStr, TerminalDef

import lmmdsl.graph.ir  # noqa: F401  (registers the operations)
from lmmdsl.ops.base import OPS
from lmmdsl.syntax.tables import grammar

GRAMMARS = Path(__file__).resolve().parents[1] / "grammars"
TARGET = GRAMMARS / "lmm.tmLanguage.json"
REFERENCE = GRAMMARS / "README.md"
_TABLE = re.compile(r"(<!-- operations[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
CONSTANTS = {"true", "false", "none"}
CONTROL = {"if", "then", "else", "for", "in", "return"}
WORD_OPERATORS = {"and", "or", "not"}
DECLARATIONS = {"block", "model", "fn", "flow", "param", "fixed"}


def tm_language() -> dict[str, object]:
    """The TextMate grammar."""
    terminals = {terminal.name: terminal for terminal in grammar().terminals}
    literals = {t.pattern.value for t in terminals.values() if isinstance(t.pattern, PatternStr)}
    literals |= {word for t in terminals.values() for word in _alternatives(t)}
    words = {word for word in literals if word.isalpha()}
    others = words - CONSTANTS - CONTROL - WORD_OPERATORS - DECLARATIONS
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "lmm",
        "scopeName": "source.lmm",
        "fileTypes": ["lmm"],
        "patterns": [
            _span("string.quoted.docstring.lmm", '"""', '"""'),
            _match("comment.line.number-sign.lmm", _regex(terminals["COMMENT"])),
            _match("string.quoted.double.lmm", _regex(terminals["STRING"])),
            _match("constant.other.token.lmm", _regex(terminals["TOKEN"])),
            _named(r"\b(block|model|fn|flow)\s+(\w+)", "storage.type.lmm", "entity.name.type.lmm"),
            _named(r"^\s*([a-z]\w*)\s+(\w+)(?=\s*:)", "storage.type.role.lmm", "variable.other.part.lmm"),
            _match("variable.other.part.lmm", r"^\s*[A-Za-z_]\w*(?=\s*:)"),
            _match("constant.language.lmm", _words(CONSTANTS)),
            _match("keyword.control.lmm", _words(CONTROL)),
            _match("keyword.operator.word.lmm", _words(WORD_OPERATORS)),
            _match("storage.type.lmm", _words(DECLARATIONS)),
            _match("keyword.other.lmm", _words(others)),
            _match("constant.numeric.lmm", rf"\b{_regex(terminals['NUMBER'])}"),
            _match("entity.name.type.lmm", r"\b[A-Z]\w*(?=\s*\()"),
            _match("entity.name.function.lmm", r"\b[a-z_]\w*(?=\s*\()"),
            _match("keyword.operator.lmm", _operators(literals)),
        ],
    }  # fmt: skip


def _alternatives(terminal: TerminalDef) -> list[str]:
    """The words of a terminal such as `LEARNED: "param" | "fixed"`."""
    if isinstance(terminal.pattern, PatternStr):
        return []
    text = terminal.pattern.value.removeprefix("(?:").removesuffix(")")
    return text.split("|") if re.fullmatch(r"[a-z|]+", text) else []


def _regex(terminal: TerminalDef) -> str:
    return str(terminal.pattern.value)


def _words(words: set[str]) -> str:
    """Whole words, but not members (`x.train`) and not names that get a value (`train = 3`)."""
    return rf"(?<![.\w])({'|'.join(sorted(words))})\b(?!\s*=[^=])"


def _operators(literals: set[str]) -> str:
    marks = {"+", "-", "->"} | {m for m in literals if not re.search(r"[\w()\[\]{},.\"]", m)}
    return "|".join(re.escape(mark) for mark in sorted(marks, key=lambda m: (-len(m), m)))


def _match(scope: str, pattern: str) -> dict[str, object]:
    return {"name": scope, "match": pattern}


def _span(scope: str, begin: str, end: str) -> dict[str, object]:
    return {"name": scope, "begin": begin, "end": end}


def _named(pattern: str, *scopes: str) -> dict[str, object]:
    captures = {str(number): {"name": scope} for number, scope in enumerate(scopes, 1)}
    return {"match": pattern, "captures": captures}


def text() -> str:
    """The highlighting, as a file."""
    return json.dumps(tm_language(), indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """The language reference with the table of operations as they are."""
    rows = "".join(map(_row, sorted(OPS)))
    table = f"\n| operation | tensors | settings | gives |\n|---|---|---|---|\n{rows}\n"
    return _TABLE.sub(lambda m: m[1] + table + m[2], REFERENCE.read_text(encoding="utf-8"))


def _row(name: str) -> str:
    kind = OPS[name]
    settings = ", ".join(f"`{_setting(item)}`" for item in dataclasses.fields(kind))
    meaning = re.split(r"\.? Source:|\.$", (kind.__doc__ or "").splitlines()[0])[0]
    cells = (f"`{name}`", f"`{kind.signature}`", settings, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _setting(item: "dataclasses.Field[object]") -> str:
    if item.default is dataclasses.MISSING:
        return item.name
    shown = {True: "true", False: "false", None: "none"}
    default = item.default
    is_word = isinstance(default, bool) or default is None
    return f"{item.name} = {shown[default] if is_word else default}"  # type: ignore[index]


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Write what follows from the grammar.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if one is stale"
    )
    products = {TARGET: text(), REFERENCE: reference()}
    if parser.parse_args().check:
        return int(any(path.read_text(encoding="utf-8") != new for path, new in products.items()))
    for path, new in products.items():
        path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
