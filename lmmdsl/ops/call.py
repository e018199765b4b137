"""Arguments of an operation: which are tensors, which are attributes.

`linear(x, weight, bias)` and `conv2d(x, weight, stride = 2)` are written alike in the language; the operation's
signature names its tensors, its dataclass fields are its attributes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from lmmdsl.dims.expr import Dim
from lmmdsl.ops.base import OPS, Op

_KINDS: dict[object, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
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
        if (
            field.name not in attributes
            and field.default is MISSING
            and field.default_factory is MISSING
        ):
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
    if cls.is_variadic:
        count = next(
            (i for i, value in enumerate(positional) if not is_tensor(value)), len(positional)
        )
        return {str(i): value for i, value in enumerate(positional[:count])}, list(
            positional[count:]
        )
    names = cls.operands()
    return dict(zip(names, positional, strict=False)), list(positional[len(names) :])


def _attributes(
    cls: type[Op], rest: list[object], named: Mapping[str, object], operands: dict[str, object]
) -> dict[str, Any]:
    known = {field.name: field.type for field in fields(cls) if field.name != cls.extra}
    if len(rest) > len(known):
        raise BadCall("many", most=len(cls.operands()) + len(known))
    given = dict(zip(known, rest, strict=False))
    extra: list[tuple[str, object]] = []
    for key, value in named.items():
        if key in known and key not in given:
            given[key] = value
        elif key in cls.operands() and key not in operands and not cls.is_variadic:
            operands[key] = value
        elif cls.extra:
            extra.append((key, _coerce(key, value, Dim)))
        else:
            raise BadCall("unknown", key, candidates=(*cls.operands(), *known))
    attributes = {key: _coerce(key, value, known[key]) for key, value in given.items()}
    return attributes | ({cls.extra: tuple(extra)} if cls.extra else {})


def _coerce(name: str, value: object, kind: object) -> object:
    """A language value as the attribute's Python type."""
    options = getattr(kind, "__args__", (kind,))
    if value is None and type(None) in options:
        return None
    if getattr(kind, "__origin__", None) is tuple and isinstance(value, tuple):
        return tuple(_coerce(name, item, options[0]) for item in value)
    if isinstance(value, Dim):
        if Dim in options:
            return value
        if value.is_const and int in options:
            return value.value
        if value.is_const and float in options:
            return float(value.value)
    for option in options:
        if isinstance(option, type) and type(value) is option:
            return value
    wanted = " or ".join(
        _KINDS.get(option, "a size") for option in options if option is not type(None)
    )
    raise BadCall("wrong", name, wanted=wanted, found=_found(value))


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
