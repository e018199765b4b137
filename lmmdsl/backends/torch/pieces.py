"""The runtime as text: the functions and classes that an emitted file needs, and their imports."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lmmdsl.backends.torch import answering, generation, images, packing, runtime, training

_SOURCES = (runtime, packing, generation, images, answering, training)


@dataclass(frozen=True, slots=True)
class Piece:
    """A function or class of the runtime: its text and the names in it."""

    name: str
    text: str
    names: frozenset[str]


@cache
def pieces() -> dict[str, Piece]:
    """All functions and classes of the runtime, in order."""
    found: dict[str, Piece] = {}
    for module in _SOURCES:
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                piece = "\n".join(lines[start - 1 : node.end_lineno])
                found[node.name] = Piece(node.name, piece, names_in(piece))
    return found


@cache
def _imports() -> dict[str, tuple[str, str]]:
    """What the runtime imports, by name: from where ("" for whole modules), and its own name."""
    found: dict[str, tuple[str, str]] = {}
    for module in _SOURCES:
        for node in ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body:
            match node:
                case ast.ImportFrom(module=str(origin)) if not origin.startswith("lmmdsl"):
                    found |= {
                        alias.asname or alias.name: (origin, alias.name) for alias in node.names
                    }
                case ast.Import():
                    found |= {alias.asname or alias.name: ("", alias.name) for alias in node.names}
    return found


def names_in(text: str) -> frozenset[str]:
    """All names that a piece of source reads."""
    return frozenset(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))


def needed(names: Iterable[str]) -> list[Piece]:
    """The pieces behind some names and everything these use, in order."""
    known = pieces()
    wanted: set[str] = set()
    waiting = [name for name in names if name in known]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += [other for other in known[name].names if other in known]
    return [piece for name, piece in known.items() if name in wanted]


def import_lines(names: frozenset[str]) -> list[str]:
    """Import statements for the names that a file uses, sorted as ruff sorts them."""
    used = {name: place for name, place in _imports().items() if name in names}
    groups: dict[str, list[str]] = {}
    plain = []
    for name, (origin, original) in used.items():
        if origin:
            groups.setdefault(origin, []).append(
                original if original == name else f"{original} as {name}"
            )
        else:
            plain.append(f"import {original}" + ("" if original == name else f" as {name}"))
    froms = {o: f"from {o} import {', '.join(sorted(items))}" for o, items in groups.items()}
    standard = [line for origin, line in sorted(froms.items()) if not origin.startswith("torch")]
    third = [
        *sorted(plain),
        *(line for origin, line in sorted(froms.items()) if origin.startswith("torch")),
    ]
    return [*standard, *([""] if standard and third else []), *third]
