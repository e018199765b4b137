"""Names of tensors: joining prefixes, layer numbers and wildcards.

`{i}` in a name is the layer of the stack, `{i+1}` the next one; in names to ignore it stands for
any number and `*` for any text.
"""

import re

LAYER = "{i}"
_LAYER = re.compile(r"\{i(?P<shift>[+-]\d{1,4})?\}")


def join(head: str, tail: str) -> str:
    """Put a prefix before a name, either of which may be empty."""
    return f"{head}.{tail}" if head and tail else head or tail


def has_layer(name: str) -> bool:
    """Whether a name says where the layer goes."""
    return _LAYER.search(name) is not None


def fill(name: str, layer: int) -> str:
    """Write the layer's number into a name."""
    return _LAYER.sub(lambda match: str(layer + int(match["shift"] or 0)), name)


def matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all patterns of names to ignore; without any it matches nothing.

    It never goes back over a part that has matched, so its time grows with the length of a name, whatever the pattern.
    """
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    first, *others = map(_piece, pattern.split("*"))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>.*?{piece})" for piece in between) + f".*{last}"


def _piece(text: str) -> str:
    """Text without wildcards, but for layers."""
    pieces = re.split(r"(\{i(?:[+-]\d{1,4})?\})", text)
    return "".join(r"\d++" if piece.startswith("{i") else re.escape(piece) for piece in pieces)
