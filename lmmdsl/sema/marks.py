"""Where tokens stand in a sequence: the ids that a model reads, compared with those that its vocabulary names.

Gives tensors of the graph of `arrange`. Rows of a visual span are counted run by run: row r of an image is the token
that has r placeholders of the same image before it.
Axes: B batch, S tokens seen so far and now.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from lmmdsl.diag.codes.layout import UnknownToken
from lmmdsl.diag.codes.types import BadValue, WrongKind
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.program import Vocab
from lmmdsl.sema import calls
from lmmdsl.sema.builder import GraphBuilder
from lmmdsl.sema.context import Context, Thunk
from lmmdsl.sema.values import POISON, Marks, Tensor
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import DType, TensorType

BATCH, SEEN, TOKENS = (Dim.symbol(name) for name in "BST")
SEQUENCE = (BATCH, SEEN)


class Marker:
    """Writes the graph of `arrange`; each tensor is made once, when it is first needed.

    Attributes:
        graph: the graph.
        ctx: the place where its values are worked out.
        ids: token ids, int `[B, S]`.
        real: which tokens are no padding, bool `[B, S]`.
    """

    def __init__(self, vocab: Vocab, rows: Mapping[str, Dim], at: Span, ctx: Context) -> None:
        self.graph = GraphBuilder()
        self.ctx = replace(ctx, graph=self.graph, encoder=None)
        self.ids = self.graph.input("input_ids", TensorType(DType.INT, SEQUENCE), at)
        self.real = self.graph.input("attention_mask", TensorType(DType.BOOL, SEQUENCE), at)
        self._vocab = vocab
        self._rows = rows
        self._made: dict[tuple[str, str], object] = {}

    def names(self, at: Span) -> dict[str, object]:
        """What the statements of `positions` may use: `ids`, `real`, sizes, and every token of the vocabulary."""
        found: dict[str, object] = {"ids": self.ids, "real": self.real, "B": BATCH, "S": SEEN}
        for token in self._vocab.tokens:
            work = partial(self.marks, token, at)
            found[token] = Thunk(token, at, work, self.ctx.state)
        return found

    def marks(self, token: str, at: Span) -> object:
        """Where a token stands: bool `[B, S]`.

        Reports:
            E0504 for a token without an id.
        """
        if token not in self._vocab.tokens:
            known = tuple(self._vocab.tokens)
            self.ctx.sink.add(UnknownToken(at=at, name=token, candidates=known))
            return POISON
        if ("marks", token) not in self._made:
            number = Dim.of(self._vocab.tokens[token])
            same = self.apply("equal", self.ids, number, at=at)
            rows = self._rows.get(token, Dim.of(1))
            count = rows.value if rows.is_const else None
            pick = partial(self.rows, token)
            assert isinstance(same, Tensor)
            self._made["marks", token] = Marks(same.value, same.type, token, count, pick)
        return self._made["marks", token]

    def rows(self, token: str, start: int, stop: int, at: Span) -> object:
        """Rows `start` to `stop - 1` of every image: bool `[B, S]`.

        Reports:
            E0303 for rows whose number is not known, E0307 when they are none.
        """
        marks = self.marks(token, at)
        if not isinstance(marks, Marks) or (start, stop) == (0, marks.rows):
            return marks
        size = self._size(marks, at)
        if start >= stop and isinstance(size, Dim):
            what, problem = f"a choice from the {size} rows of `{token}`", "is empty"
            self.ctx.sink.add(BadValue(at=at, what=what, problem=problem))
            return POISON
        row = self.apply("remainder", self._before(marks, at), size, at=at)
        bounds = [("greater_equal", start)] * (start > 0) + [("less", stop)] * (stop != marks.rows)
        inside: object = marks
        for name, bound in bounds:
            chosen = self.apply(name, row, Dim.of(bound), at=at)
            inside = self.apply("logical_and", inside, chosen, at=at)
        return inside

    def last(self, token: str, at: Span) -> object:
        """Number of the row's last image that begins at or before each token, -1 before its first: int `[B, S]`.

        Images are counted from 0 through the whole batch, row by row, as their features stand in one tensor.
        """
        marks = self.marks(token, at)
        if not isinstance(marks, Marks):
            return POISON
        before = self._before(marks, at)
        total = self.apply("sum", self.apply("cast", marks, at=at, to="int"), at=at, axis=Dim.of(1))
        through = self.apply("cumsum", total, at=at, axis=Dim.of(0))
        earlier = self.apply("unsqueeze", self.apply("sub", through, total, at=at), at=at)  # [B, 1]
        number = self.apply("add", before, earlier, at=at)
        if marks.rows != 1:
            number = self.apply("floor_div", number, self._size(marks, at), at=at)
        started = self.apply("greater_equal", before, Dim.of(0), at=at)
        return self.apply("where", started, number, Dim.of(-1), at=at)

    def first(self, token: str, at: Span) -> object:
        """Index of the first such token, 0 where there is none: int `[B]`."""
        marks = self.apply("cast", self.marks(token, at), at=at, to="int")
        return self.apply("argmax", marks, at=at, axis=Dim.of(1))

    def running(self, at: Span) -> object:
        """Real tokens counted from 0, padding by where it stands: int `[B, S]`."""
        count = self.apply("cumsum", self.real, at=at, axis=Dim.of(1))
        count = self.apply("sub", count, Dim.of(1), at=at)
        return self.apply("where", self.real, count, self.apply("arange", SEEN, at=at), at=at)

    def apply(self, name: str, *operands: object, at: Span, **options: object) -> object:
        """Apply an operation."""
        return calls.apply(name, operands, options, at, self.ctx)

    def _before(self, marks: Marks, at: Span) -> object:
        """How many of a row's placeholders stand before each placeholder: int `[B, S]`."""
        key = ("before", marks.token)
        if key not in self._made:
            count = self.apply("cumsum", marks, at=at, axis=Dim.of(1))
            self._made[key] = self.apply("sub", count, Dim.of(1), at=at)
        return self._made[key]

    def _size(self, marks: Marks, at: Span) -> object:
        if marks.rows is not None:
            return Dim.of(marks.rows)
        found = f"{self._rows[marks.token]} rows, which only the running model knows"
        self.ctx.sink.add(
            WrongKind(at=at, what=f"`{marks.token}`", wanted="a known number of rows", found=found)
        )
        return POISON
