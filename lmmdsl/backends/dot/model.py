"""Level `model`: the whole pipeline on one slide.

From the image on the left to the logits: preprocessing, encoder, what is dropped, connector; below it the token strip
that the visual tokens enter; below that the LLM. Parts are cards with their stacks folded and their parameters.
"""

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from lmmdsl.backends.dot.cards import READER, Cards
from lmmdsl.backends.dot.figure import Arrow, Box, Figure, Frame, Item, Line
from lmmdsl.backends.dot.fold import run_box, runs
from lmmdsl.backends.dot.rows import below, fits, wrapped
from lmmdsl.backends.dot.strip import image_ports, make_strip
from lmmdsl.backends.dot.style import STATE_WORDS
from lmmdsl.backends.dot.visibility import make_grid
from lmmdsl.backends.dot.words import (
    has_tokens,
    picture_of,
    tokens_of,
)
from lmmdsl.graph.ir import (
    Call,
    Constant,
    Graph,
    Input,
    Read,
    Repeat,
    Size,
    Value,
)
from lmmdsl.graph.program import Program, Stage
from lmmdsl.passes.ledger import ledgers
from lmmdsl.text.amount import share, short

IMAGE = 4  # axes of images
ABOUT = 48  # characters of a line that says what a flow is for
TEXT_METHODS = ("embed", "read", "arrange", "decode", "logits")


def draw_model(program: Program, stage: Stage | None, layout: str | None) -> Figure:
    """Draw a program.

    Args:
        program: the checked model.
        stage: colour parts by what this stage trains.
        layout: whose token strip to draw; the first by default.
    """
    return _Model(program, stage, layout).figure()


class _Model:
    """The picture while it grows."""

    def __init__(self, program: Program, stage: Stage | None, layout: str | None) -> None:
        self.program, self.stage = program, stage
        self.cards = Cards(program, stage)
        found = ledgers(program)
        self.ledger = next((ledger for ledger in found if layout in (None, ledger.layout)), None)
        self.items: list[Item] = []
        self.arrows: list[Arrow] = []
        self.frames: list[Frame] = []
        self.rows: list[tuple[str, ...]] = []
        self.left: list[str] = []
        self.known: set[str] = set()  # parts that have their card
        self.drawn: dict[Hashable, str] = {}  # boxes of the steps that visual values come from

    def figure(self) -> Figure:
        """Draw everything, from the top."""
        methods = self.program.root.methods
        hidden = TEXT_METHODS if "decode" in methods else ()
        flows = {name: graph for name, graph in methods.items() if name not in hidden}
        flows = {name: graph for name, graph in flows.items() if _has_parts(graph)} or flows
        for name, graph in flows.items():
            if self._is_visual(name) or len(flows) == 1:
                self._flow(name, graph)
            else:
                self._framed_flow(name, graph)
        self.arrows += below(self.frames, self.items, self.arrows)
        if "decode" in self.program.root.methods:
            self._language()
        return Figure(
            title=self._title(),
            subtitle=self._subtitle(),
            items=tuple(self.items),
            arrows=tuple(self.arrows),
            frames=tuple(self.frames),
            rows=tuple(self.rows),
            left=tuple(self.left),
            legend=self._legend(),
            name=self.program.name,
        )

    def _title(self) -> str:
        variant = self.program.variant
        return f"{self.program.name} {variant}" if variant else self.program.name

    def _subtitle(self) -> str:
        total = self.cards.used.of(self.program.root).total
        parameters = f"{short(total)} parameters in use"
        if self.stage is None:
            return f"{parameters} · {self.program.source}" if self.program.source else parameters
        trained = sum(part.trained for part in self.cards.training.values())
        adapters = sum(part.adapters for part in self.cards.training.values())
        more = f" and {short(adapters)} of LoRA" if adapters else ""
        what = f"{short(trained)}{more} of {short(total)} parameters"
        return f"stage {self.stage.name} trains {what} ({share(trained + adapters, total)})"

    # ---- from pixels to visual tokens ----

    def _framed_flow(self, method: str, graph: Graph) -> None:
        """One of several flows: its name and what it is for, over what it does."""
        first, rows = len(self.items), len(self.rows)
        about = textwrap.fill(graph.doc.strip().partition("\n")[0], ABOUT)
        head = Box(f"{method}.head", "head", method, about, tone="data")
        self.items.append(head)
        self._flow(method, graph)
        del self.rows[rows:]  # boxes of a frame stay inside it
        inside = tuple(item.id for item in self.items[first:])
        fed = {arrow.target for arrow in self.arrows}
        starts = (name for name in inside[1:] if name not in fed)
        self.arrows += [Arrow(head.id, name, is_hidden=True) for name in starts]
        self.frames.append(Frame(method, method, inside, "op"))

    def _flow(self, method: str, graph: Graph) -> None:
        prefix = "" if method == "encode" else f"{method}."
        ids: dict[int, str] = {}
        row: list[str] = []
        steps = _same(graph)
        drawn = self.drawn if self._is_visual(method) else {}
        known = [index for index, step in enumerate(steps) if step in drawn]
        run_of = {index: run for run in runs(graph, without=known) for index in run}
        for index, node in enumerate(graph.nodes):
            if isinstance(node.payload, Constant | Size):
                continue
            if steps[index] in drawn:  # two visual values begin with the same steps
                ids[index] = drawn[steps[index]]
                continue
            if isinstance(node.payload, Input):
                ids[index] = self._input(prefix, graph, index, row)
            else:
                run = run_of.get(index, (index,))
                ids[index] = f"{prefix}{run[0]}"
                if index == run[0]:
                    self.items.append(self._step(ids[index], graph, run))
                    row.append(ids[index])
                self._feed(graph, index, ids)
            drawn[steps[index]] = ids[index]
        self._result(method, graph, ids, row)
        if _is_chain(graph):
            self.rows += wrapped(self._named(row), self.arrows)

    def _named(self, names: Sequence[str]) -> list[Item]:
        items = {item.id: item for item in self.items}
        return [items[name] for name in names]

    def _feed(self, graph: Graph, index: int, ids: Mapping[int, str]) -> None:
        for value in graph.nodes[index].inputs:
            if value and value.node in ids and ids[value.node] != ids[index]:
                self._connect(ids[value.node], ids[index], graph, value)

    def _connect(
        self,
        source: str,
        target: str,
        graph: Graph,
        value: Value,
        port: str = "",
        notes: tuple[str, ...] = (),
    ) -> None:
        kind = graph.type_of(value)
        label = tokens_of(kind) if has_tokens(graph, value) else ("", str(kind))
        if isinstance(graph.nodes[value.node].payload, Input) and len(kind.shape) == IMAGE:
            label = picture_of(kind)
        arrow = Arrow(source, target, (*label, *notes), port, is_visual=True)
        if arrow not in self.arrows:  # steps of one box may read the same value
            self.arrows.append(arrow)

    def _input(self, prefix: str, graph: Graph, index: int, row: list[str]) -> str:
        node = graph.nodes[index]
        assert isinstance(node.payload, Input)
        name = f"{prefix}{node.payload.name}"
        settings = next(
            (
                self.program.preprocess[p]
                for p in self._readers(graph, index)
                if p in self.program.preprocess
            ),
            None,
        )
        if settings is None:
            is_image = len(node.types[0].shape) == IMAGE
            title = "image" if is_image else node.payload.name
            self.items.append(Box(name, "data", title, tone="data"))
            row.append(name)
            return name
        self.items.append(Box(f"{name}.raw", "data", "image", "any size", tone="data"))
        lines = tuple(Line(text) for text in preprocessing(settings))
        self.items.append(Box(name, "data", "preprocess", tone="data", lines=lines))
        self.arrows.append(Arrow(f"{name}.raw", name, is_visual=True))
        row += [f"{name}.raw", name]
        return name

    def _readers(self, graph: Graph, index: int) -> list[str]:
        nodes = (graph.nodes[reader] for reader in graph.readers().get(Value(index), []))
        return [node.payload.part for node in nodes if isinstance(node.payload, Call | Repeat)]

    def _step(self, name: str, graph: Graph, run: Sequence[int]) -> Box:
        node = graph.nodes[run[0]]
        match node.payload:
            case Call(part=part, method=method) | Repeat(part=part, method=method):
                return self._part(part.partition(".")[0], method, name)
            case Read(path):
                return Box(name, "data", path, str(node.types[0]), tone="parameter")
            case _:
                return run_box(name, graph, run)

    def _part(self, part: str, method: str, name: str) -> Box:
        """The card of a part; where it comes again, it is the same one, so its inside is not told twice."""
        card = self.cards.part(part, name)
        title = part if method == "forward" else f"{part}.{method}"
        if part in self.known:
            return replace(card, title=title, value="", lines=(), note="the same weights")
        self.known.add(part)
        return replace(card, title=title)

    def _result(self, method: str, graph: Graph, ids: Mapping[int, str], row: list[str]) -> None:
        for name, value in graph.outputs:
            if value.node not in ids:
                continue
            if self._is_visual(method) and self.ledger:
                for port in image_ports(self.ledger, method.removeprefix("encode").strip("_")):
                    self._connect(ids[value.node], "strip", graph, value, port)
                readers = [item for item in self.program.injections if item.values]
                if method == "encode" and readers:
                    seen = dict.fromkeys(item.seen for item in readers if item.seen)
                    notes = (
                        f"read by {', '.join(dict.fromkeys(item.what for item in readers))}",
                        *(f"a token sees the last {token}" for token in seen),
                    )
                    self._connect(ids[value.node], "llm", graph, value, notes=notes)
                continue
            target = f"{method}.{name}.out"
            self.items.append(
                Box(target, "data", method if name == "result" else name, tone="data")
            )
            row.append(target)
            self._connect(ids[value.node], target, graph, value)

    def _is_visual(self, method: str) -> bool:
        """Whether a method gives rows that stand in the LLM's input, or that its layers read."""
        methods = self.program.root.methods
        return "decode" in methods and (method == "encode" or method.startswith("encode_"))

    # ---- text ----

    def _language(self) -> None:
        methods = self.program.root.methods
        part = self.program.role("llm")
        if part is None or part not in self.program.root.parts:
            return
        self.items += self.cards.llm(part)
        if "read" in methods:
            self._reading(methods["read"], methods["decode"])
        else:
            self._sequence(methods["decode"])
        if "logits" in methods:
            graph = methods["logits"]
            kind = graph.type_of(graph.outputs[0][1])
            self.items.append(Box("logits", "data", "logits", str(kind), tone="data"))
            self.arrows.append(Arrow("llm", "logits"))
        self._around_llm()

    def _sequence(self, decode: Graph) -> None:
        arrange = self.program.root.methods.get("arrange")
        facts = {name for name, _ in arrange.outputs} if arrange else set()
        told = [
            f"{decode.name_of(value)} {decode.type_of(value)}"
            for value in decode.inputs
            if decode.name_of(value) in facts
        ]
        self._strip()
        shape = str(decode.type_of(decode.inputs[0]))
        self.arrows.append(Arrow("strip", "llm", ("embeddings", shape, *told)))

    def _strip(self) -> None:
        if self.ledger is None:
            self.items.append(Box("strip", "data", "token ids", "int[B, T]", tone="data"))
        else:
            self.items.append(make_strip(self.ledger, "strip"))

    def _reading(self, read: Graph, decode: Graph) -> None:
        """The prompt goes to the encoder; what that read, and the answer so far, to the decoder."""
        self._strip()
        memory = str(read.type_of(read.outputs[0][1]))
        prompt, answer = (str(graph.type_of(graph.inputs[0])) for graph in (read, decode))
        self.arrows += [
            Arrow("strip", READER, ("prompt", prompt)),
            Arrow(READER, "llm", ("memory", memory)),
            Arrow("strip", "llm", ("answer", answer)),
        ]

    def _around_llm(self) -> None:
        """Stand what belongs to the LLM beside it, or below it where the page is not wide enough."""
        grid = make_grid(self.program, self.ledger, "sees") if self.ledger else None
        self.items += [grid] if grid else []
        names = {item.id for item in self.items}
        beside = [name for name in ("sees", READER) if name in names]
        after = [name for name in ("logits",) if name in names]
        row = (*beside, "llm", *after)
        self.left += [item[0] for item in self.rows] + ["strip"]
        if fits(self._named(row), self.arrows):
            self.rows.append(row)
            self.left.append(row[0])
            self.arrows += [Arrow("sees", "llm", is_hidden=True)] if grid else []
            return
        self.items = [_upright(item) for item in self.items]
        own = ("llm", *after)
        self.left += [*beside, "llm"] if READER in names else ["llm", *beside]
        self.rows += (
            [own] if READER in names or fits(self._named(own), self.arrows) else [(*beside, *after)]
        )

    def _legend(self) -> tuple[tuple[str, str], ...]:
        states = dict.fromkeys(part.state for part in self.cards.training.values())
        return tuple((state, STATE_WORDS[state]) for state in states)


def preprocessing(settings: Mapping[str, object]) -> list[str]:
    """What is done to an image, in short lines."""
    steps = {
        "pad": "pad",
        "resize": "resize",
        "fit": "fit into",
        "multiple": "fill up to multiples of",
        "crop": "crop",
    }
    lines = [f"{word} {_sizes(settings[name])}" for name, word in steps.items() if name in settings]
    if "filter" in settings:
        lines.append(str(settings["filter"]))
    if "mean" in settings:
        lines.append("normalise")
    return lines


def _upright(item: Item) -> Item:
    """A card with its lines below each other, where they take more than a page side by side."""
    if not isinstance(item, Box) or item.kind != "wide" or fits([item], ()):
        return item
    return replace(item, kind="card")


def _has_parts(graph: Graph) -> bool:
    """Whether a flow goes through parts: one of operations alone tells nothing of the architecture."""
    return any(isinstance(node.payload, Call | Repeat | Read) for node in graph.nodes)


def _same(graph: Graph) -> list[Hashable]:
    """Per node, what it does and on what: equal in two methods where they compute the same."""
    found: list[Hashable] = []
    for node in graph.nodes:
        sources = tuple((found[value.node], value.slot) if value else None for value in node.inputs)
        found.append((node.payload, sources))
    return found


def _is_chain(graph: Graph) -> bool:
    """Whether data flows along one line."""
    hidden = Constant | Size
    steps = (node for node in graph.nodes if not isinstance(node.payload, hidden | Input))
    sources = (
        [v for v in node.inputs if v and not isinstance(graph.nodes[v.node].payload, hidden)]
        for node in steps
    )
    return all(len(found) <= 1 for found in sources)


def _sizes(value: object) -> str:
    """Height and width side by side."""
    return " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)
