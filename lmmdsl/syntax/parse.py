"""Text to `Module`, with recovery per declaration.

A file that does not parse is split at the lines where a top-level declaration starts; each piece is parsed alone, so
one slip costs one declaration and every other mistake is still reported.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, overload

from lark import Token, Tree, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.exceptions import VisitError
from lark.tree import Meta

from lmmdsl.diag.codes.syntax import BadLiteral, SyntaxProblem, TooLarge
from lmmdsl.diag.model import Diagnostic
from lmmdsl.diag.sink import Sink
from lmmdsl.syntax import ast
from lmmdsl.syntax.build import Builder
from lmmdsl.syntax.tables import grammar, parse_tree
from lmmdsl.text.source import SourceFile, Span

MAX_SOURCE = 100_000
MAX_NESTING = 64
MAX_RULES = 200  # every consumer of the tree recurses over it
_DECLARATION = re.compile(r"^(?:block|model|fn|from)\b", re.MULTILINE)
_BRACKETS = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\\n]|\\[^\n])*"|#[^\n]*|[()\[\]{}]')

_NAMES = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "TOKEN": "a token such as `<image>`",
    "DOC": "a docstring",
    "VARIANT": "a variant name",
    "$END": "the end of the file",
    "SUM": "`+`",
    "PRODUCT": "`*`",
    "COMPARE": "`==`",
    "LEARNED": "`param`",
    "COLON": "`:`",
    "OPTIONAL": "`?`",
}


def parse_module(file: SourceFile, sink: Sink) -> ast.Module:
    """Parse one file.

    Reports:
        E0101 for each declaration that does not parse, E0102 for a file or nesting beyond the limits, E0103 for a
        literal that is none.
    """
    whole = Span(file, 0, len(file.text))
    empty = ast.Module(span=whole, doc="", imports=(), blocks=(), functions=())
    if len(file.text) > MAX_SOURCE:
        sink.add(TooLarge(at=Span(file, 0, 0), what="source characters", limit=MAX_SOURCE))
        return empty
    if deep := _too_deep(file):
        sink.add(TooLarge(at=deep, what="levels of nesting", limit=MAX_NESTING))
        return empty
    found = _parse(file, 0, len(file.text), "start")
    if not isinstance(found, Diagnostic):
        return found
    pieces = list(_pieces(file.text))
    if len(pieces) <= 1:
        sink.add(found)
        return empty
    parsed = []
    for start, end in pieces:
        found = _parse(file, start, end, "start")
        if isinstance(found, Diagnostic):
            sink.add(found)
        else:
            parsed.append(found)
    return ast.Module(
        span=whole,
        doc=next((m.doc for m in parsed if m.doc), ""),
        imports=tuple(i for m in parsed for i in m.imports),
        blocks=tuple(b for m in parsed for b in m.blocks),
        functions=tuple(f for m in parsed for f in m.functions),
    )


def parse_expression(file: SourceFile, sink: Sink) -> ast.Expr | None:
    """Parse one expression (the value of `--set path=value`)."""
    if _too_deep(file) or len(file.text) > MAX_SOURCE:
        sink.add(TooLarge(at=Span(file, 0, 0), what="levels of nesting", limit=MAX_NESTING))
        return None
    expression = _parse(file, 0, len(file.text), "expr")
    if isinstance(expression, Diagnostic):
        sink.add(expression)
        return None
    return expression


@overload
def _parse(
    file: SourceFile, start: int, end: int, rule: Literal["start"]
) -> ast.Module | Diagnostic: ...


@overload
def _parse(
    file: SourceFile, start: int, end: int, rule: Literal["expr"]
) -> ast.Expr | Diagnostic: ...


def _parse(file: SourceFile, start: int, end: int, rule: str) -> object:
    """The tree of a piece of text, or why it does not parse."""
    try:
        tree = parse_tree(file.text[start:end], rule)
        if (deep := _deep_rule(tree)) is not None:
            place = Span(file, start + deep.start_pos, start + deep.end_pos)
            return TooLarge(at=place, what="levels of operators and brackets", limit=MAX_RULES)
        return Builder(file, start).transform(tree)
    except UnexpectedToken as error:
        return _unexpected(file, start, end, error)
    except (UnexpectedCharacters, UnexpectedEOF) as error:
        at = min(start + max(error.pos_in_stream or 0, 0), end)
        found = file.text[at : at + 1]
        names = error.allowed if isinstance(error, UnexpectedCharacters) else error.expected
        span = Span(file, at, at + len(found))
        return SyntaxProblem(at=span, found=found, expected=_expected(names or ()))
    except VisitError as error:
        place = _literal(error, file, start) or Span(file, start, start)
        return BadLiteral(at=place, problem=str(error.orig_exc))


def _deep_rule(tree: Tree[Token]) -> Meta | None:
    """Place of a rule that lies below too many others, such as a long chain of operators."""
    level = [tree]
    for _ in range(MAX_RULES):
        level = [c for rule in level for c in rule.children if isinstance(c, Tree) and c.children]
        if not level:
            return None
    return level[0].meta


def _literal(error: VisitError, file: SourceFile, start: int) -> Span | None:
    meta = getattr(error.obj, "meta", None)
    if meta is None or getattr(meta, "start_pos", None) is None:
        return None
    return Span(file, start + meta.start_pos, start + meta.end_pos)


def _unexpected(file: SourceFile, start: int, end: int, error: UnexpectedToken) -> SyntaxProblem:
    token = error.token
    if isinstance(token, Token) and token.type != "$END" and token.start_pos is not None:
        at = Span(file, start + token.start_pos, start + (token.end_pos or token.start_pos))
        found = str(token)
    else:
        last = start + len(file.text[start:end].rstrip())
        at, found = Span(file, last, last), "the end of the declaration"
    return SyntaxProblem(at=at, found=found, expected=_expected(error.accepts or error.expected))


def _expected(names: Iterable[str]) -> tuple[str, ...]:
    """Readable names of the terminals that could stand here."""
    found = []
    for name in sorted(names):
        found.append(_NAMES.get(name) or _spelling(name))
    return tuple(dict.fromkeys(found))


def _spelling(terminal: str) -> str:
    for item in grammar().terminals:
        if item.name == terminal:
            return f"`{item.pattern.value}`"
    return terminal.lower()


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    starts = [match.start() for match in _DECLARATION.finditer(text)]
    if not starts:
        yield 0, len(text)
        return
    if text[: starts[0]].strip():
        yield 0, starts[0]
    yield from zip(starts, [*starts[1:], len(text)], strict=True)


def _too_deep(file: SourceFile) -> Span | None:
    depth = 0
    for match in _BRACKETS.finditer(file.text):
        mark = match.group()
        if mark in "([{":
            depth += 1
            if depth > MAX_NESTING:
                return Span(file, match.start(), match.end())
        elif mark in ")]}":
            depth = max(0, depth - 1)
    return None
