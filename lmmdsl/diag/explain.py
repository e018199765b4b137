"""`lmmc explain`: the long explanation of a code, found by code, slug or class name."""

import inspect

from lmmdsl.diag.model import Diagnostic
from lmmdsl.diag.registry import registry
from lmmdsl.diag.suggest import distance

MOST_NEAR = 3


def find(word: str) -> type[Diagnostic] | None:
    """The diagnostic that `word` names: `E0401`, `e401`, `401`, `operation-refused`."""
    wanted = word.strip().strip("[]").lower()
    for code, cls in registry().items():
        short = code[0] + code[1:].lstrip("0")
        if wanted in (code.lower(), short.lower(), short[1:], code[1:], cls.slug):
            return cls
    return None


def explain(word: str) -> str | None:
    """The explanation of a code: its title, then what, why, a wrong and a right example."""
    cls = find(word)
    if cls is None:
        return None
    return f"{cls.code} ({cls.slug}): {cls.title}\n\n{inspect.getdoc(cls)}\n"


def near_codes(word: str) -> tuple[str, ...]:
    """Codes like an unknown one, for "did you mean": near in spelling, else those of its area."""
    wanted = word.strip().upper()
    ranked = sorted((distance(wanted, code), code) for code in registry())
    close = tuple(code for gap, code in ranked if gap <= 1)
    if close:
        return close[:MOST_NEAR]
    slugs = sorted((distance(word.lower(), cls.slug), code) for code, cls in registry().items())
    return tuple(code for gap, code in slugs if gap <= max(1, len(word) // 3))[:MOST_NEAR]


def index() -> str:
    """All codes with their titles, one a line."""
    return "".join(f"{code}  {cls.title}\n" for code, cls in registry().items())
