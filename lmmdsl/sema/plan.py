"""Which injections stand at which parts, seen from one definition of the tree."""

from dataclasses import dataclass
from typing import Protocol

from lmmdsl.graph.ir import Definition

Path = tuple[str, ...]


class Wrapper(Protocol):
    """What an injection does to a part that its selector matches. Identity is equality."""

    def wrap(self, base: Definition) -> Definition | None:
        """The definition that takes the place of `base`, or None after reporting."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Points below a definition, in source order: the path of a part and what wraps it there."""

    points: tuple[tuple[Path, Wrapper], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points)

    def under(self, step: str) -> "Plan":
        """The points at or below one part, or one layer of a stack."""
        return Plan(tuple((path[1:], wrap) for path, wrap in self.points if path[:1] == (step,)))

    def below(self) -> "Plan":
        """The points below the definition itself."""
        return Plan(tuple(point for point in self.points if point[0]))

    def here(self) -> tuple[Wrapper, ...]:
        """What wraps the definition itself, the innermost first."""
        return tuple(wrapper for path, wrapper in self.points if not path)


EMPTY = Plan()
