"""Arguments of an operation: which are tensors, which are attributes.

`linear(x, weight, bias)` and `conv2d(x, weight, stride = 2)` are written alike in the language; the operation's
signature names its tensors, its dataclass fields are its attributes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import takewhile
from math import isfinite
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OPS, Op

_NO = object()
_KINDS: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    Dim: "a size",
}


class BadCall(Exception):
    """Arguments that an operation does not take.

    Attributes:
        kind: `unknown`, `missing`, `many` or `wrong`.
        name: the argument.
        candidates: names that exist, for `unknown`.
        most: how many arguments there may be, for `many`.
        wanted, found: kinds, for `wrong`.
    """

    def __init__(
        self,
        kind: str,
        name: str = "",
        *,
        candidates: tuple[str, ...] = (),
        most: int = 0,
        wanted: str = "",
        found: str = "",
    ) -> None:
        super().__init__(f"{kind}: {name}")
        self.kind = kind
        self.name = name
        self.candidates = candidates
        self.most = most
        self.wanted = wanted
        self.found = found


def bind(
    name: str,
    positional: Sequence[object],
    named: Mapping[str, object],
    is_tensor: Callable[[object], bool],
) -> tuple[Op, tuple[object, ...]]:
    """Make the operation and its operands, in the order of its signature (None where one is left out).

    Raises:
        BadCall: for arguments that it does not take.
    """
    cls = OPS[name]
    operands, rest = _operands(cls, positional, is_tensor)
    attributes = _attributes(cls, rest, named, operands)
    for field in fields(cls):
        is_needed = field.default is MISSING and field.default_factory is MISSING
        if is_needed and field.name not in attributes:
            raise BadCall("missing", field.name)
    if cls.is_variadic:
        return cls(**attributes), tuple(operands.values())
    for operand in cls.operands():
        if operands.get(operand) is None and not cls.is_optional(operand):
            raise BadCall("missing", operand)
    return cls(**attributes), tuple(operands.get(operand) for operand in cls.operands())


def _operands(
    cls: type[Op], positional: Sequence[object], is_tensor: Callable[[object], bool]
) -> tuple[dict[str, object], list[object]]:
    """Operands by name, and the positional arguments after them."""
    if not cls.is_variadic:
        names = cls.operands()
        return dict(zip(names, positional, strict=False)), list(positional[len(names) :])
    first, *others = positional or (None,)
    if isinstance(first, tuple) and all(map(is_tensor, first)):  # concat([a, b], ...)
        return _numbered(first), others
    tensors = list(takewhile(is_tensor, positional))
    return _numbered(tensors), list(positional[len(tensors) :])


def _numbered(tensors: Sequence[object]) -> dict[str, object]:
    return {str(number): value for number, value in enumerate(tensors)}


def _attributes(
    cls: type[Op], rest: list[object], named: Mapping[str, object], operands: dict[str, object]
) -> dict[str, Any]:
    known = {field.name: field.type for field in fields(cls) if field.name != cls.extra}
    if len(rest) > len(known):
        raise BadCall("many", most=len(cls.operands()) + len(known))
    given = dict(zip(known, rest, strict=False))
    names = () if cls.is_variadic else cls.operands()
    extra: list[tuple[str, object]] = []
    for key, value in named.items():
        if key in known and key not in given:
            given[key] = value
        elif key in names and key not in operands:
            operands[key] = value
        elif cls.extra and key not in known and key not in names:
            extra.append((key, _coerce(key, value, Dim)))
        else:
            raise BadCall("unknown", key, candidates=(*names, *known))
    attributes = {key: _coerce(key, value, known[key]) for key, value in given.items()}
    return attributes | ({cls.extra: tuple(extra)} if cls.extra else {})


def _coerce(name: str, value: object, kind: object) -> object:
    """A language value as the attribute's Python type."""
    options = kind.__args__ if isinstance(kind, UnionType) else (kind,)
    for option in options:
        made = _convert(name, value, option)
        if made is not _NO:
            return made
    wanted = dict.fromkeys(
        _KINDS.get(option, "a list") for option in options if option is not NoneType
    )
    raise BadCall("wrong", name, wanted=" or ".join(wanted), found=_found(value))


def _convert(name: str, value: object, kind: object) -> object:
    """A language value as one Python type, or `_NO`."""
    if get_origin(kind) is tuple and isinstance(value, tuple):
        return tuple(_coerce(name, item, get_args(kind)[0]) for item in value)
    if isinstance(value, Dim) and value.is_const and kind in (int, float):
        return int(value.value) if kind is int else float(value.value)
    if isinstance(value, int) and kind is Dim and not isinstance(value, bool):
        return Dim.of(value)
    if isinstance(value, float) and not isfinite(value):
        raise BadCall("wrong", name, wanted="a finite number", found=str(value))
    return value if type(value) is kind else _NO


def _found(value: object) -> str:
    match value:
        case Dim():
            return f"the size {value}" if not value.is_const else f"{value}"
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the word `{value}`"
        case float():
            return str(value)
        case tuple():
            return "a list"
        case _:
            return "a tensor"
