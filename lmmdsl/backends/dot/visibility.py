"""Who sees whom in the LLM: a small matrix over the segments of a layout.

Every segment stands for a few tokens, so that a causal triangle shows inside it. Row i is the token that looks, column
j the one that is seen. Where layers look at images themselves, each image has one more column, and segments that repeat
stand there twice.
"""

from collections.abc import Iterator
from itertools import accumulate, groupby

from lmmdsl.backends.dot.figure import Grid
from lmmdsl.graph.ir import Apply, Call, Definition, Node, Repeat
from lmmdsl.graph.program import Program
from lmmdsl.passes.count import is_cached
from lmmdsl.passes.ledger import Entry, Ledger

PADDING = 1  # padding tokens in front, where a mask hides them
TOKENS = {"token": 1, "text": 1, "image": 4, "slot": 2}  # how many stand for a segment, at most
MAX_TOKENS = 24
MASK, KEYS = 4, 3  # operands of an attention


def make_grid(program: Program, ledger: Ledger, name: str) -> Grid | None:
    """Draw the matrix; None where the LLM's attentions differ or take a mask of their own."""
    if "read" in program.root.methods:
        return None  # prompt and answer are two sequences
    found = list(_attentions(program.root, "decode", set()))
    causal = {
        bool(getattr(node.payload.op, "causal", False))
        for node in found
        if isinstance(node.payload, Apply)
    }
    has_mask = any(len(node.inputs) > MASK and node.inputs[MASK] for node in found)
    looks = next((item for item in program.injections if item.seen), None)
    labels = _labels(tuple(_twice(ledger.entries)) if looks else ledger.entries)
    if len(causal) != 1 or has_mask or len(labels) > MAX_TOKENS:
        return None
    front = _front(program, ledger)
    is_hidden = all(len(node.inputs) > KEYS and node.inputs[KEYS] for node in found)
    padding = PADDING if is_hidden else 0
    labels = (*((("data", "padding" if i == 0 else "")) for i in range(padding)), *labels)
    is_causal = causal.pop()
    count = len(labels)
    rows = tuple(
        tuple(
            _state(i, j, padding, ends=count if not is_causal else max(i + 1, padding + front))
            for j in range(count)
        )
        for i in range(count)
    )
    order = "each sees itself and those before" if is_causal else "each sees all the others"
    if front:
        order += f"\nthose before {program.prefix} see each other"
    if padding:
        order += "\npadding is hidden"
    images: tuple[str, ...] = ()
    if looks:
        rows, images = _with_images(rows, labels, looks.seen, padding)
        order += f"\nright: in {looks.what}, the last {looks.seen}"
    return Grid(name, "who sees whom", labels, rows, order, images)


def _twice(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """What repeats, two times."""
    for is_repeated, run in groupby(entries, lambda entry: entry.is_repeated):
        yield from tuple(run) * (2 if is_repeated else 1)


def _with_images(
    rows: tuple[tuple[str, ...], ...], labels: tuple[tuple[str, str], ...], token: str, padding: int
) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The rows with a column for each image behind them, and the kinds of these columns."""
    seen = list(accumulate(name == token for _, name in labels))  # images so far
    columns = tuple(
        ("gap", *("never" if i < padding else _one(k == seen[i]) for k in range(1, seen[-1] + 1)))
        for i in range(len(rows))
    )
    joined = tuple((*row, *more) for row, more in zip(rows, columns, strict=True))
    return joined, ("gap", *("image",) * seen[-1])


def _one(is_seen: bool) -> str:
    return "yes" if is_seen else "no"


def _state(row: int, column: int, padding: int, *, ends: int) -> str:
    """How a token sees another, where it sees none from `ends` on."""
    if row < padding or column < padding:
        return "never"
    return "yes" if column < ends else "no"


def _front(program: Program, ledger: Ledger) -> int:
    """How many tokens of the matrix come before the one that ends the prefix."""
    names = [entry.text if entry.kind == "token" else "" for entry in ledger.entries]
    if program.prefix not in names:
        return 0
    return sum(map(_drawn, ledger.entries[: names.index(program.prefix)]))


def _labels(entries: tuple[Entry, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (entry.kind, _name(entry) if place == 0 else "")
        for entry in entries
        for place in range(_drawn(entry))
    )


def _drawn(entry: Entry) -> int:
    """Rows that stand for a segment: no more than it has tokens."""
    most = TOKENS[entry.kind]
    is_known = entry.tokens is not None and entry.tokens.is_const
    return min(most, entry.tokens.value) if entry.tokens and is_known else most


def _name(entry: Entry) -> str:
    shown = {"slot": f"{{{entry.text}}}", "text": "text"}.get(entry.kind, entry.text)
    return shown if len(shown) <= 12 else f"{shown[:11]}\u2026"


def _attentions(
    definition: Definition, method: str, seen: set[tuple[Definition, str]]
) -> Iterator[Node]:
    if (definition, method) in seen or method not in definition.methods:
        return
    seen.add((definition, method))
    for node in definition.methods[method].nodes:
        match node.payload:
            case Call(method=called, definition=callee):
                yield from _attentions(callee, called, seen)
            case Repeat(method=called, definitions=layers):
                for layer in dict.fromkeys(layers):
                    yield from _attentions(layer, called, seen)
            case Apply() if is_cached(node):
                yield node
