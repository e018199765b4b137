"""Constants of an emitted class: numbers, texts, and dictionaries and tuples of them."""

from lmmdsl.backends.torch.layout import quoted


def constant(name: str, kind: str, value: object) -> list[str]:
    """The lines of a class variable, broken where they would be too long."""
    text = _dict(value) if isinstance(value, dict) else _item(value)
    lines = [f"    {name}: ClassVar[{kind}] = {text}"]
    if len(lines[0]) <= 100 or not isinstance(value, dict):
        return lines
    inner = [line for key, item in value.items() for line in _entry(key, item)]
    return [f"    {name}: ClassVar[{kind}] = {{", *inner, "    }"]


def _entry(key: str, value: object) -> list[str]:
    line = f"        {quoted(key)}: {_item(value)},"
    if len(line) <= 100 or not isinstance(value, tuple):
        return [line]
    items = [f"            {_item(item)}," for item in value]
    return [f"        {quoted(key)}: (", *items, "        ),"]


def _dict(value: dict[str, object]) -> str:
    return "{" + ", ".join(f"{quoted(key)}: {_item(item)}" for key, item in value.items()) + "}"


def _item(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if not isinstance(value, tuple):
        return repr(value)
    return f"({', '.join(map(_item, value))}{',' if len(value) == 1 else ''})"
