"""The table of all codes."""

from collections.abc import Mapping
from types import MappingProxyType

from lmmdsl.diag.codes import AREAS
from lmmdsl.diag.model import CODES, Diagnostic

# Retired codes stay listed, so that no new mistake takes an old number.
RETIRED: tuple[str, ...] = ()

_HELD = frozenset(area.__name__ for area in AREAS)


def registry() -> Mapping[str, type[Diagnostic]]:
    """Every class by its code, in the order of the numbers (E0401, W0510 ...)."""
    ordered = sorted(CODES.items(), key=lambda item: (item[0][1:], item[0]))
    return MappingProxyType({code: cls for code, cls in ordered if cls.__module__ in _HELD})
