"""Settings from outside a spec: `--set path=value` and the `set=` argument of the Python interface.

A value is an expression of the language, so `--set proj.act=silu` and `--set llm.width=2*1024` work as in a variant.
"""

import math
import re
from collections.abc import Iterable, Mapping

from lmmdsl.diag.sink import Sink
from lmmdsl.syntax import ast
from lmmdsl.syntax.parse import parse_expression
from lmmdsl.text.source import SourceFile, Span

Setting = int | float | bool | str | None | list["Setting"] | tuple["Setting", ...]

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class BadSetting(ValueError):
    """A setting that is not `path=value`."""


def split_setting(text: str) -> tuple[str, str]:
    """Split `path=value`; raises `BadSetting`."""
    path, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise BadSetting(f"`{text}` is not of the form path=value")
    return _path(path.strip()), value.strip()


def settings_text(settings: Mapping[str, Setting]) -> tuple[tuple[str, str], ...]:
    """Write Python values as expressions of the language; raises `BadSetting`.

    A string stands for itself: `{"proj.act": "silu"}` is `proj.act = silu`.
    """
    return tuple((_path(path), _text(value)) for path, value in settings.items())


def parse_overrides(settings: Iterable[tuple[str, str]], sink: Sink) -> tuple[ast.Override, ...]:
    """Parse the values of settings.

    Reports:
        E0101 for a value that is no expression.
    """
    found = []
    for path, text in settings:
        file = SourceFile(f"--set {path}", text)
        value = parse_expression(file, sink)
        if value is not None:
            whole = Span(file, 0, len(text))
            found.append(ast.Override(span=whole, path=tuple(path.split(".")), value=value))
    return tuple(found)


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise BadSetting(f"`{text}` is not a path such as `llm.depth`")
    return text


def _text(value: Setting) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "none"
        case str():
            return value
        case int():
            return str(value)
        case float() if math.isfinite(value):
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_text, value))}]"
        case _:
            raise BadSetting(f"`{value!r}` cannot be written in the language")
