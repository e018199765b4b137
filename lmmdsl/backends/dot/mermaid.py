"""Write a figure as Mermaid text, for pages that draw it themselves."""

from collections.abc import Iterator

from lmmdsl.backends.dot.figure import Arrow, Box, Figure, Frame, Grid, Item, Strip
from lmmdsl.backends.dot.style import tone


def emit_mermaid(figure: Figure) -> str:
    """Write a Mermaid flowchart. Matrices have no place in it and are left out."""
    return "\n".join(
        [f"---\ntitle: {_quoted(figure.title)}\n---", "flowchart TB", *_body(figure), ""]
    )


def _body(figure: Figure) -> Iterator[str]:
    drawn = {item.id for item in figure.items if isinstance(item, Box | Strip)}
    framed = {name for frame in figure.frames for name in frame.items}
    for item in figure.items:
        if item.id in drawn and item.id not in framed:
            yield f"  {_node(item)}"
    for frame in figure.frames:
        yield from _frame(frame, figure)
    for arrow in figure.arrows:
        if not arrow.is_hidden and {arrow.source, arrow.target} <= drawn:
            yield f"  {_edge(arrow)}"
    tones: dict[str, list[str]] = {}
    for item in figure.items:
        if isinstance(item, Box):
            tones.setdefault(item.tone, []).append(_id(item.id))
    for name, ids in tones.items():
        colors = tone(name)
        yield f"  classDef t_{name} fill:{colors.fill},stroke:{colors.line},color:#1d2733"
        yield f"  class {','.join(ids)} t_{name}"


def _frame(frame: Frame, figure: Figure) -> Iterator[str]:
    yield f"  subgraph {_id('frame.' + frame.id)}[{_quoted(frame.title)}]"
    for item in figure.items:
        if item.id in frame.items:
            yield f"    {_node(item)}"
    yield "  end"


def _node(item: Item) -> str:
    match item:
        case Box(kind="op"):
            return f"{_id(item.id)}({_label(_box(item))})"
        case Box():
            return f"{_id(item.id)}[{_label(_box(item))}]"
        case Strip():
            return f"{_id(item.id)}[{_label(_strip(item))}]"
        case Grid():
            return ""


def _box(item: Box) -> list[str]:
    head = " ".join(filter(None, (item.title, item.value)))
    rows = (row for line in item.lines for row in (line, *line.inside))
    lines = [" ".join(filter(None, (row.count, row.text, row.value))) for row in rows]
    return [text for text in (head, item.subtitle, item.tag, *lines, item.note) if text]


def _strip(item: Strip) -> list[str]:
    cells = (
        f"{' '.join(cell.text.split())} {cell.count}" if cell.kind == "image" else cell.text
        for cell in item.cells
    )
    return [
        " | ".join(" ".join(cell.split()) for cell in cells),
        f"{item.title} {item.note}".strip(),
    ]


def _edge(arrow: Arrow) -> str:
    line = "==>" if arrow.is_visual else "-->"
    label = f"|{_label([line for line in arrow.label if line])}|" if arrow.label else ""
    return f"{_id(arrow.source)} {line}{label} {_id(arrow.target)}"


def _label(lines: list[str]) -> str:
    return '"' + "<br/>".join(_escaped(part) for line in lines for part in line.splitlines()) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Mermaid entities for everything that it or HTML could read as markup."""
    return "".join(
        char if char.isalnum() or char in " .,:;=+-/()[]{}|_×→−…·≤↵" else f"#{ord(char)};"
        for char in text
    )


def _id(name: str) -> str:
    # Words such as `end` mean something to Mermaid, hence the prefix.
    return "n_" + "".join(char if char.isalnum() and char.isascii() else "_" for char in name)
