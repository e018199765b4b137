"""Write a figure as DOT text. The same figure gives the same bytes."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from lmmdsl.backends.dot import label
from lmmdsl.backends.dot.figure import Arrow, Box, Figure, Frame, Grid, Item, Strip
from lmmdsl.backends.dot.style import FONT, INK, LINE, PAPER, VISUAL_EDGE, tone

HOLD = 30  # how much stronger than an arrow the left edge pulls
MARGINS = {
    "card": "0.13,0.09",
    "wide": "0.13,0.09",
    "op": "0.09,0.05",
    "head": "0.14,0.05",
    "data": "0.14,0.09",
}


def emit(figure: Figure) -> str:
    """Write DOT."""
    return "\n".join(["digraph " + quote(figure.name) + " {", *_body(figure), "}", ""])


def quote(text: str) -> str:
    """A DOT string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else " " for char in escaped) + '"'


def _body(figure: Figure) -> Iterator[str]:
    yield f'  graph [fontname="{FONT}", bgcolor="{PAPER}", rankdir=TB, nodesep=0.28, ranksep=0.42, pad=0.3,'
    yield f"         labelloc=t, labeljust=l, splines=true, label=<{label.title(figure)}>]"
    yield f'  node [fontname="{FONT}", fontcolor="{INK}", shape=box]'
    yield f'  edge [fontname="{FONT}", color="{LINE}", penwidth=1.5, arrowsize=0.8]'
    framed = {name for frame in figure.frames for name in frame.items}
    for item in figure.items:
        if item.id not in framed:
            yield f"  {_node(item)}"
    for frame in figure.frames:
        yield from _frame(frame, figure)
    for row in figure.rows:
        yield f"  {{ rank=same; {'; '.join(map(quote, row))} }}"
    for above, below in pairwise(figure.left):
        yield f"  {quote(above)}:w -> {quote(below)}:w [style=invis, weight={HOLD}]"
    for arrow in figure.arrows:
        yield f"  {_edge(arrow, _is_leftward(arrow, figure.rows))}"


def _frame(frame: Frame, figure: Figure) -> Iterator[str]:
    colors = tone(frame.tone)
    yield f"  subgraph {quote('cluster_' + frame.id)} {{"
    yield f'    label=""; style="rounded,filled"; margin=14; fillcolor="{colors.fill}80";'
    yield f'    color="{colors.line}"; penwidth={colors.width}'
    for item in figure.items:
        if item.id in frame.items:
            yield f"    {_node(item)}"
    yield "  }"


def _node(item: Item) -> str:
    match item:
        case Box():
            return f"{quote(item.id)} [{_outline(item)}, label=<{label.box(item)}>]"
        case Strip():
            return f"{quote(item.id)} [shape=plain, label=<{label.strip(item)}>]"
        case Grid():
            return f"{quote(item.id)} [shape=plain, label=<{label.grid(item)}>]"


def _outline(box: Box) -> str:
    colors = tone(box.tone)
    style = "rounded,filled,dashed" if colors.dashed else "rounded,filled"
    paint = f'fillcolor="{colors.fill}", color="{colors.line}", penwidth={colors.width}'
    return f'style="{style}", {paint}, margin="{MARGINS[box.kind]}", height=0.3, width=0.3'


def _is_leftward(arrow: Arrow, rows: Iterable[tuple[str, ...]]) -> bool:
    """Whether an arrow points to the left within a row."""
    ends = (arrow.source, arrow.target)
    return any(
        row.index(arrow.target) < row.index(arrow.source)
        for row in rows
        if all(end in row for end in ends)
    )


def _edge(arrow: Arrow, is_leftward: bool) -> str:
    target = f"{quote(arrow.target)}:{quote(arrow.port)}:n" if arrow.port else quote(arrow.target)
    color = VISUAL_EDGE if arrow.is_visual else LINE
    options = []
    if arrow.label:
        options.append(f"label=<{label.arrow(arrow.label, color if arrow.is_visual else INK)}>")
    if arrow.is_visual:
        options.append(f'color="{color}", penwidth=2.4')
    if arrow.is_hidden:
        options.append("style=invis")
    if is_leftward:  # Graphviz orders a row by its edges, tail first
        options.append("dir=back")
        return f"{target} -> {quote(arrow.source)} [{', '.join(options)}]"
    written = f" [{', '.join(options)}]" if options else ""
    return f"{quote(arrow.source)} -> {target}{written}"
