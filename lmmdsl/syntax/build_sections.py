"""Parse tree to syntax tree, first half: layouts, visibility, injection and weights."""

import re
from typing import Any

from lark import Token, Transformer, v_args
from lark.tree import Meta

from lmmdsl.syntax import ast
from lmmdsl.text.source import SourceFile, Span

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_ESCAPED = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def unquote(token: str) -> str:
    """The text of a string token; raises `ValueError` for an escape that the language lacks."""
    return _ESCAPE.sub(_unescape, token[1:-1])


def _unescape(match: re.Match[str]) -> str:
    mark = match[1]
    if mark in _ESCAPED:
        return _ESCAPED[mark]
    code = int(mark[1:], 16) if len(mark) == 5 else 0xD800
    if 0xD800 <= code < 0xE000:
        raise ValueError(f"strings have no escape `{match[0]}`")
    return chr(code)


def docstring(token: str) -> str:
    """The text of a triple-quoted docstring, lines trimmed."""
    return "\n".join(line.strip() for line in token[3:-3].strip().splitlines())


@v_args(meta=True)
class SectionBuilder(Transformer[Any, Any]):
    """Builds the sections of a model; `offset` shifts spans when a part of the file was parsed."""

    def __init__(self, file: SourceFile, offset: int = 0) -> None:
        super().__init__(visit_tokens=False)
        self.file = file
        self.offset = offset

    def at(self, place: Meta | Token) -> Span:
        """Span of a rule or token."""
        start = getattr(place, "start_pos", None)
        if start is None:
            return Span(self.file, self.offset, self.offset)
        return Span(self.file, self.offset + start, self.offset + (place.end_pos or start))

    # ---- layouts and visibility ----

    def layout(self, meta: Meta, children: list[Any]) -> ast.LayoutDecl:
        name, *segments = children
        return ast.LayoutDecl(span=self.at(meta), name=str(name), segments=tuple(segments))

    def text_segment(self, meta: Meta, children: list[Any]) -> ast.TextSegment:
        return ast.TextSegment(span=self.at(meta), text=unquote(children[0]))

    def turn_segment(self, meta: Meta, children: list[Any]) -> ast.TurnSegment:
        return ast.TurnSegment(span=self.at(meta))

    def token_segment(self, meta: Meta, children: list[Any]) -> ast.TokenSegment:
        return ast.TokenSegment(span=self.at(meta), name=str(children[0]))

    def span_segment(self, meta: Meta, children: list[Any]) -> ast.SpanSegment:
        name, value, end = children
        return ast.SpanSegment(
            span=self.at(meta), name=f"<{name}>", value=value, row_end=str(end) if end else None
        )

    def slot_segment(self, meta: Meta, children: list[Any]) -> ast.SlotSegment:
        name, mark, key, value = children
        setting = ast.Setting(span=self.at(key), name=str(key), value=value) if key else None
        return ast.SlotSegment(
            span=self.at(meta), name=str(name), mark=str(mark) if mark else None, setting=setting
        )

    def repeat_segment(self, meta: Meta, children: list[Any]) -> ast.RepeatSegment:
        return ast.RepeatSegment(span=self.at(meta), segments=tuple(children))

    def visibility(self, meta: Meta, children: list[Any]) -> ast.Visibility:
        name, *rules = children
        return ast.Visibility(span=self.at(meta), name=str(name), rules=tuple(rules))

    def sees_kind(self, meta: Meta, children: list[Any]) -> str:
        return str(children[0])

    def sees_before(self, meta: Meta, children: list[Any]) -> str:
        return f"before {children[0]}"

    def sees_rule(self, meta: Meta, children: list[Any]) -> ast.SeesRule:
        viewer, last, seen, causally = children
        return ast.SeesRule(
            span=self.at(meta), viewer=viewer, seen=seen, last=bool(last), causally=bool(causally)
        )

    # ---- injection ----

    def path(self, meta: Meta, children: list[Any]) -> ast.Selector:
        steps = [
            c if isinstance(c, ast.Step) else ast.Step(span=self.at(c), names=(str(c),))
            for c in children
        ]
        return ast.Selector(span=self.at(meta), steps=tuple(steps))

    def selector(self, meta: Meta, children: list[ast.Selector]) -> ast.Selector:
        return children[0]

    def step_some(self, meta: Meta, children: list[Any]) -> ast.Step:
        return ast.Step(span=self.at(meta), names=(), some=tuple(children))

    def _picked(self, meta: Meta, children: list[Any], pick: str) -> ast.Step:
        name, *bounds = children
        return ast.Step(span=self.at(meta), names=(str(name),), pick=pick, bounds=tuple(bounds))

    def step_every(self, meta: Meta, children: list[Any]) -> ast.Step:
        return self._picked(meta, children, "every")

    def step_range(self, meta: Meta, children: list[Any]) -> ast.Step:
        return self._picked(meta, children, "range")

    def step_all(self, meta: Meta, children: list[Any]) -> ast.Step:
        return self._picked(meta, children, "all")

    def step_index(self, meta: Meta, children: list[Any]) -> ast.Step:
        return self._picked(meta, children, "index")

    def inject_verb(self, meta: Meta, children: list[Any]) -> str:
        return str(children[0])

    def inject_on(self, meta: Meta, children: list[Any]) -> tuple[str, Any]:
        return str(children[0]), children[1]

    def inject_rows(self, meta: Meta, children: list[Any]) -> tuple[Any, Any]:
        start, _, stop = children
        return start, stop

    def inject_where(self, meta: Meta, children: list[ast.SeesRule]) -> ast.SeesRule:
        return children[0]

    def inject_takes(self, meta: Meta, children: list[ast.InputDecl]) -> tuple[ast.InputDecl, ...]:
        return tuple(children)

    def inject_body(self, meta: Meta, children: list[Any]) -> ast.Inject:
        verb, selector, on, takes, *body, where = children
        token, rows = on or (None, None)
        return ast.Inject(
            span=self.at(meta), verb=verb, selector=selector, part=None, on=token, on_rows=rows,
            body=tuple(body), where=where, takes=takes or (),
        )  # fmt: skip

    def inject_part(self, meta: Meta, children: list[Any]) -> ast.Inject:
        part, verb, selector, on = children
        token, rows = on or (None, None)
        return ast.Inject(
            span=self.at(meta), verb=verb, selector=selector, part=part, on=token, on_rows=rows,
            body=(), where=None,
        )  # fmt: skip

    # ---- weights ----

    def naming(self, meta: Meta, children: list[Any]) -> ast.Naming:
        scheme, *lines = children
        return ast.Naming(span=self.at(meta), scheme=str(scheme), lines=tuple(lines))

    def weights(self, meta: Meta, children: list[Any]) -> ast.Naming:
        scheme, repository, *lines = children
        return ast.Naming(
            span=self.at(meta),
            scheme=str(scheme),
            lines=tuple(lines),
            repository=unquote(repository),
        )

    def naming_ours(self, meta: Meta, children: list[Any]) -> dict[str, Any]:
        return {"ours": (".".join(children[0][0]),)}

    def naming_packed(self, meta: Meta, children: list[Any]) -> dict[str, Any]:
        return {"ours": tuple(".".join(path) for path, _ in children)}

    def naming_interleaved(self, meta: Meta, children: list[Any]) -> dict[str, Any]:
        groups, *paths = children
        return {"ours": tuple(".".join(path) for path, _ in paths), "groups": groups}

    def naming_transposed(self, meta: Meta, children: list[Any]) -> dict[str, Any]:
        return {"ours": (".".join(children[0][0]),), "transposed": True}

    def naming_squeezed(self, meta: Meta, children: list[Any]) -> dict[str, Any]:
        return {"ours": (".".join(children[0][0]),), "squeezed": True}

    def naming_as(self, meta: Meta, children: list[Any]) -> str:
        return str(children[0])

    def naming_rule(self, meta: Meta, children: list[Any]) -> ast.NamingLine:
        ours, *theirs, scheme = children
        names = tuple(unquote(name) for name in theirs)
        return ast.NamingLine(span=self.at(meta), theirs=names, scheme=scheme, **ours)

    def naming_ignore(self, meta: Meta, children: list[Any]) -> ast.NamingLine:
        return ast.NamingLine(span=self.at(meta), ours=(), theirs=(unquote(children[0]),))
