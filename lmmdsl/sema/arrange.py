"""Token facts: what an LLM is told of its tokens beside their embeddings.

Takes the vocabulary, the layouts and the sections `positions` and `sees`; gives the method
`arrange(input_ids, attention_mask)` of the model, which works all facts out of the whole sequence, and the inputs of
`decode` that carry them. Whoever needs a fact asks for it, `arrange.require(TokenFact("seen", "on", "<image>"), at)`,
before the components are made; arguments of an LLM's `forward` are bound by name (`inputs`).
Axes: B batch, S tokens seen so far and now, T tokens of this step.
Invariant: a fact whose last axis is S in `arrange` tells of the last T tokens in `decode`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lmmdsl.diag.codes.facts import FactMissing, FactNotTaken, SeesRules
from lmmdsl.diag.codes.inject import InjectionShape
from lmmdsl.diag.codes.names import DuplicateName
from lmmdsl.diag.codes.shapes import WrongResult
from lmmdsl.diag.codes.types import NoResult, WrongKind
from lmmdsl.graph.ir import Graph
from lmmdsl.graph.program import Image, Layout, Vocab, flat
from lmmdsl.sema.context import Context
from lmmdsl.sema.marks import BATCH, SEEN, SEQUENCE, TOKENS, Marker
from lmmdsl.sema.methods import Results, run
from lmmdsl.sema.values import Marks, PartRef, Poison, Scope, Tensor, describe
from lmmdsl.sema.weave import outside
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, TensorType

POSITIONS, KEYS, PREFIX = "positions", "keys", "prefix"  # arguments of an LLM
# What the decoder of an encoder-decoder knows of the prompt, which its method `read` gives.
MEMORY = {"memory": "encoder_hidden_states", "memory_keys": "encoder_attention_mask"}
INPUTS = {POSITIONS: "position_ids", KEYS: "attention_mask", **MEMORY}  # what `decode` calls them
BEFORE = "before "
_CAUSAL = ("all", "all", False, True)
_DOC = """What decoding is told of each token, from the ids of all tokens so far."""


@dataclass(frozen=True, slots=True)
class TokenFact:
    """A question about the tokens of a sequence and the images in it.

    Attributes:
        name: what the argument of the LLM and the input of `decode` are to be called.
        kind: "on": which tokens stand for visual rows, bool `[B, T]`; "last": number of the last image of its row that
            begins at or before a token, counted from 0 through the whole batch, -1 before the first: int `[B, T]`.
        token: the token of the span, such as `<image>`.
        rows: which rows of each image, as bounds of a slice, for "on"; None is all of them.
    """

    name: str
    kind: str
    token: str
    rows: tuple[int | None, int | None] | None = None


@dataclass(frozen=True, slots=True)
class FactInput:
    """An argument of an LLM's `forward` and the input of `decode` that fills it."""

    argument: str
    name: str
    type: TensorType


class Arrange:
    """Collects the facts of a model. `prefix` is the token before whose first place all tokens see each other."""

    def __init__(self, vocab: Vocab, layouts: Iterable[Layout], at: Span, ctx: Context) -> None:
        self._layouts = {layout.name: layout for layout in layouts}
        segments = (s for layout in self._layouts.values() for s in flat(layout.segments))
        rows = {s.token.name: s.filled for s in segments if isinstance(s, Image)}
        self._marker = Marker(vocab, rows, at, ctx)
        self._sink = ctx.sink
        self._facts: dict[str, Tensor] = {}  # by argument
        self._asked: dict[str, TokenFact] = {}
        self._given: dict[str, tuple[str, Span]] = {}  # the sections that gave them
        self._broken: set[str] = set()  # arguments whose sections hold mistakes
        self._taken: dict[str, Tensor] = {}  # by input of `decode`
        self._counts = False  # whether `decode` takes positions
        self.prefix: str | None = None  # the token before which all see each other

    # ---- asking ----

    def require(self, fact: TokenFact, at: Span) -> str | None:
        """Let a fact be known to `decode`; gives the name of the argument, or None after reporting.

        An argument of this name that the LLM's `forward` has when its components are made is bound to the fact.

        Reports:
            E0504 for a token without an id, E0303 for rows whose number is not known, E0404 for rows that are not.
        """
        name = fact.name
        while name in self._facts and self._asked.get(name) != replace(fact, name=name):
            name += "_"  # the same name for another question
        if name not in self._facts:
            answer = self._answer(fact, at)
            if not isinstance(answer, Tensor):
                return None
            self._facts[name] = answer
            self._asked[name] = replace(fact, name=name)
        return name

    def _answer(self, fact: TokenFact, at: Span) -> object:
        if fact.kind == "last":
            return self._marker.last(fact.token, at)
        marks = self._marker.marks(fact.token, at)
        if not isinstance(marks, Marks) or fact.rows is None:
            return marks
        start, stop, _ = slice(*fact.rows).indices(marks.rows or 0)
        return self._marker.rows(fact.token, start, stop, at)

    def hand_down(self, fact: TokenFact, at: Span) -> None:
        """Let a fact be an input of `decode` that injections below it read.

        Reports:
            what `require` reports, and E0602 when two injections mean different rows by one name.
        """
        name = self.require(fact, at)
        if name is not None and name != fact.name:
            problem = f"two injections serve different rows of `{fact.token}`"
            self._sink.add(InjectionShape(at=at, problem=problem))
        elif name is not None:
            self._taken[name] = self._facts[name]

    def inputs(self, forward: Graph, llm: PartRef) -> list[FactInput] | None:
        """What `decode` takes beside embeddings, positions first; None after reporting.

        Reports:
            E0513 for a section that gives what the LLM does not take, E0514 for arguments that nothing gives, E0402
            for positions of another type than the LLM takes.
        """
        handed = outside(forward)  # bound by whoever asked for them
        arguments = {
            name: forward.nodes[value.node]
            for value in forward.inputs[1:]
            if (name := forward.name_of(value)) not in handed
        }
        found = [
            self._input(argument, node.types[0], llm, node.span)
            for argument, node in arguments.items()
        ]
        for argument, (section, at) in self._given.items():
            if argument not in arguments:
                self._sink.add(
                    FactNotTaken(
                        at=at, section=section, name=argument, part=llm.path, declared=forward.span
                    )
                )
        self._counts = POSITIONS in arguments
        known = [item for item in found if item]
        return sorted(known, key=_place) if len(known) == len(found) else None

    def _input(
        self, argument: str, kind: TensorType, llm: PartRef, declared: Span
    ) -> FactInput | None:
        name = INPUTS.get(argument, argument)
        fact = self._facts.get(argument)
        if argument == KEYS:
            return FactInput(KEYS, name, TensorType(DType.BOOL, SEQUENCE, optional=True))
        if argument in MEMORY and "read" in llm.definitions[0].methods:
            return FactInput(argument, name, kind)
        if fact is None and argument == POSITIONS and len(kind.shape) == 2:
            return FactInput(POSITIONS, name, TensorType(DType.INT, (BATCH, TOKENS)))
        if fact is None and argument not in self._broken:
            self._sink.add(
                FactMissing(
                    at=llm.span, name=argument, type=str(kind), part=llm.path, declared=declared
                )
            )
        if fact is None:
            return None
        self._taken[name] = fact
        shape = tuple(TOKENS if axis == SEEN else axis for axis in fact.type.shape)
        given = TensorType(fact.type.dtype, shape)
        if argument not in self._given or (kind.dtype, kind.shape) == (given.dtype, given.shape):
            return FactInput(argument, name, given)
        at, wanted = self._given[argument][1], kind.subs({"T": SEEN})
        self._sink.add(
            WrongResult(at=at, declared=str(wanted), found=str(fact.type), promised=declared)
        )
        return None

    def graph(self, at: Span) -> Graph | None:
        """`arrange`: the facts that `decode` takes, or None where it takes no more than running positions."""
        if not self._taken:
            return None
        facts: dict[str, object] = dict(self._taken)
        if self._counts:
            places = facts.pop(INPUTS[POSITIONS], None) or self._marker.running(at)
            facts = {INPUTS[POSITIONS]: places, **facts}
        for name, fact in facts.items():
            if isinstance(fact, Tensor):
                self._marker.graph.names.setdefault(fact.value, name)
        outputs = ((name, fact.value) for name, fact in facts.items() if isinstance(fact, Tensor))
        return self._marker.graph.finish(tuple(outputs), at, _DOC)

    # ---- sections ----

    def place(self, section: ast.Positions) -> None:
        """`positions { ... }`: its result is the LLM's `positions`.

        Reports:
            E0202 for a second section, E0303 for what is not one tensor, whatever its statements report.
        """
        if self._is_second(POSITIONS, POSITIONS, section.span):
            return
        self._broken.add(POSITIONS)
        results, ctx = Results(), self._marker.ctx
        names = Scope(self._marker.names(section.span), ctx.scope)
        run(section.body, ctx.inside(Scope(outer=names)), results)
        self._given[POSITIONS] = (POSITIONS, section.span)
        if not results.returned:
            self._sink.add(NoResult(at=section.span, method=POSITIONS))
            return
        (_, value, at), *others = results.returned
        if isinstance(value, Tensor) and not others:
            self._facts[POSITIONS] = value
            self._given[POSITIONS] = (POSITIONS, at)
        elif not isinstance(value, Poison):
            found = f"{1 + len(others)} results" if others else describe(value)
            self._sink.add(
                WrongKind(at=at, what=f"`{POSITIONS}`", wanted="one tensor", found=found)
            )

    def show(self, section: ast.Visibility) -> None:
        """`sees layout { ... }`: a decoder can follow causal visibility, and a prefix in which all see each other.

        Reports:
            E0512 for other rules and for a layout that does not exist, E0504 for a token without an id.
        """
        self._broken.add(PREFIX)
        if section.name not in self._layouts:
            problem, known = f"there is no layout `{section.name}`", tuple(self._layouts)
            self._sink.add(
                SeesRules(at=section.span, problem=problem, name=section.name, candidates=known)
            )
            return
        marks = []
        for rule in section.rules:
            said = (rule.viewer, rule.seen, rule.last, rule.causally)
            if (
                said[0] == said[1]
                and said[0].startswith(BEFORE)
                and not (rule.last or rule.causally)
            ):
                marks.append(rule)
            elif said != _CAUSAL:
                problem = f"a decoder cannot follow `{rule.span.text}`"
                self._sink.add(SeesRules(at=rule.span, problem=problem))
                return
        self._front(section, marks)

    def _front(self, section: ast.Visibility, marks: list[ast.SeesRule]) -> None:
        if len(marks) == len(section.rules):
            problem = "no rule says what the other tokens see" if marks else "there is no rule"
            self._sink.add(SeesRules(at=section.span, problem=problem))
            return
        if not marks:
            self._broken.discard(PREFIX)
        for rule in marks:
            token = rule.viewer.removeprefix(BEFORE)
            if token == self.prefix:  # said of another layout
                continue
            if self._is_second(PREFIX, rule.viewer, rule.span):
                return
            first = self._marker.first(token, rule.span)
            self._given[PREFIX] = (f"sees {section.name}", rule.span)
            if isinstance(first, Tensor):
                self._facts[PREFIX], self.prefix = first, token

    def _is_second(self, argument: str, name: str, at: Span) -> bool:
        if argument not in self._given:
            return False
        self._sink.add(DuplicateName(at=at, name=name, first=self._given[argument][1]))
        return True


def _place(item: FactInput) -> int:
    return list(INPUTS).index(item.argument) if item.argument in INPUTS else len(INPUTS)
