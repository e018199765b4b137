"""The naming lines of one block, by the path that they name, through stacks and wrappers."""

from collections.abc import Mapping
from dataclasses import dataclass

from lmmdsl.graph.ir import Definition, Instance, NamingRule, Param, Part, Stack

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of one definition, by the path they name; `*` stands for the layer of a stack."""

    lines: Mapping[Path, tuple[NamingRule, int]]
    ignored: tuple[str, ...]

    def match(self, path: Path, wrapped: frozenset[int]) -> tuple[int, NamingRule, int] | None:
        """Length of the longest line on the way to `path`, the line, and which of its `ours`.

        `wrapped` are the places of steps from a wrapper to what it wraps, which lines leave out; what the wrapper
        itself calls that part comes behind the name of the whole.
        """
        starred = tuple("*" if step.isdigit() else step for step in path)
        for length in range(len(path), 0, -1):
            bare = tuple(step for at, step in enumerate(starred[:length]) if at not in wrapped)
            found = self.lines.get(starred[:length])
            if found is None and length - 1 not in wrapped:
                found = self.lines.get(bare)
            if found:
                return length, *found
        return None


def starred(definition: Definition, steps: list[str]) -> Path | None:
    """A path as the key of a line, through any layer of a stack that has it; None when there is none."""
    found = definition.find(steps[0])
    match found[1] if found else None, steps[1:]:
        case None, _:
            return None
        case _, []:
            return (steps[0],)
        case Instance(definition=inner), rest:
            key = starred(inner, rest)
            return (steps[0], *key) if key else None
        case Stack(definitions=layers), rest:
            keys = (starred(layer, rest) for layer in dict.fromkeys(layers))
            key = next((key for key in keys if key), None)
            return (steps[0], "*", *key) if key else None
        case _:
            return None


def wrapped(definition: Definition, path: Path) -> frozenset[int]:
    """Places in a path where a step goes from a wrapper to what it wraps."""
    found: set[int] = set()
    place = 0
    while place < len(path):
        part = definition.parts.get(path[place])
        if path[place] == definition.wraps:
            found.add(place)
        place += 2 if isinstance(part, Stack) else 1
        match part:
            case Instance():
                definition = part.definition
            case Stack() if place <= len(path):
                definition = part.definitions[int(path[place - 1])]
            case _:
                break
    return frozenset(found)


def is_added(definition: Definition, path: Path) -> bool:
    """Whether a path goes into what an injection added, beside the part that it wraps."""
    if definition.wraps and path[0] != definition.wraps:
        return True
    match definition.parts.get(path[0]):
        case Instance(definition=inner):
            return is_added(inner, path[1:])
        case Stack(definitions=layers):
            return is_added(layers[int(path[1])], path[2:])
        case _:
            return False


def find_part(definition: Definition, path: Path) -> Part | None:
    """The part or parameter at a path, None when there is none; a path may end at a stack."""
    part: Part | None = None
    steps = list(path)
    while steps:
        found = definition.find(steps.pop(0))
        part = found[1] if found else None
        match part:
            case None:
                return None
            case Instance():
                definition = part.definition
            case Stack() if steps:
                layer = int(steps.pop(0)) if steps[0].isdigit() else len(part.definitions)
                if layer >= len(part.definitions):
                    return None
                definition = part.definitions[layer]
            case Param() if steps:
                return None
            case _:
                pass
    return part
