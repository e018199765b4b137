"""Layout of files, bodies and declarations.

A body stays on one line where the author wrote it so and it fits; otherwise every item has a line of its own. Empty
lines are kept, one at most; comments stay above their item or at the end of its line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from textwrap import dedent

from lmmdsl.fmt.align import Cells, aligned
from lmmdsl.fmt.expressions import Expressions, Node
from lmmdsl.pretty.doc import Doc, Fill, Group, Hard, IfBroken, Line, Nest, separated
from lmmdsl.syntax.trivia import Branch, Concrete, Leaf

# What separates the items of a body on one line; "" allows only one item there.
_ON_ONE_LINE = {
    "preprocess": ",", "variant": ",", "vocab": ",", "naming": ",", "weights": ",",
    "visibility": ";", "stage": "", "positions": "", "method": "", "function": "", "flow": "", "block_if": "",
    "stmt_if": "", "block_else": "", "stmt_else": "", "block_for": "", "stmt_for": "", "inject_body": "",
}  # fmt: skip
_ASSIGNMENTS = {"let", "assign", "setting", "vocab_token", "override", "naming_rule", "expose"}
_CONDITIONS = {"block_if", "stmt_if"}
_WITH_BODY = {*_ON_ONE_LINE, "block", "model"} - _CONDITIONS
_APART = {"block", "model", "function"}  # declarations with an empty line around them

_Entry = tuple[bool, Doc | Cells]  # whether an empty line stands before it


class Items(Expressions):
    """Documents of declarations and of the bodies that hold them."""

    def file(self, source: Concrete) -> Doc:
        """The whole file."""
        return self.lines(source.tree.children, source.end)

    def doc(self, node: Node) -> Doc:
        """The document of any node; of a declaration, without regard to its neighbours."""
        if isinstance(node, Leaf):
            return self.leaf(node)
        if node.rule == "doc":
            return self._docstring(node)
        if node.rule == "layout":
            return self._layout(node)
        if node.rule in _CONDITIONS:
            return Group(self._condition(node, all(map(_may_stay, _branches(node)))))
        if cells := self.cells(node):
            return aligned([cells])[0]
        return self._with_body(node) if node.rule in _WITH_BODY else super().doc(node)

    def _docstring(self, node: Branch) -> Doc:
        leaf = node.first
        first, *others = leaf.text.split("\n")
        texts = [first, *dedent("\n".join(others)).split("\n")] if others else [first]
        above = () if id(leaf) in self.placed else self.above(leaf)
        lines = separated((text.rstrip() for text in texts), Hard())
        return (above, lines, self.remark(leaf))

    # ---- lines ----

    def lines(self, nodes: Sequence[Node], end: Leaf, beside: str | None = None) -> Doc:
        """Items one below another, then the comments above `end`.

        With `beside`, items that the author put on one line stay there, with this mark between them.
        """
        entries: list[_Entry] = []
        apart = False
        for node in nodes:
            if isinstance(node, Leaf):  # an optional comma or semicolon
                entries[-1] = _followed(entries[-1], self.dropped(node))
                continue
            before, apart = apart, node.rule in _APART
            found = list(self._entries(node, apart=before or apart))
            if beside is None or node.first.is_first or not entries:
                entries += found
            else:
                entries[-1] = _beside(entries[-1], beside, found[-1])
        return self._stacked(entries, end)

    def _entries(self, node: Branch, *, apart: bool) -> Iterator[_Entry]:
        """The comments above an item, and the item."""
        leaf = node.first
        self.placed.add(id(leaf))
        blanks = [*(comment.blank for comment in leaf.before), leaf.blank]
        blanks[0] |= apart
        yield from zip(blanks, (comment.text for comment in leaf.before), strict=False)
        yield blanks[-1], self.cells(node) or self.doc(node)

    def _stacked(self, entries: Sequence[_Entry], end: Leaf) -> Doc:
        """Entries one below another, columns aligned between empty lines, then the comments above `end`."""
        self.placed.add(id(end))
        every: list[_Entry] = [*entries, *((comment.blank, comment.text) for comment in end.before)]
        starts = [index for index, (blank, _) in enumerate(every) if blank and index]
        spans = zip([0, *starts], [*starts, len(every)], strict=True)
        runs = (aligned([item for _, item in every[start:stop]]) for start, stop in spans)
        return separated((separated(run, Hard()) for run in runs), Hard(blank=True))

    def cells(self, node: Branch) -> Cells | None:
        """The columns of a declaration, if it is one that shares them with its neighbours."""
        nodes = node.children
        match node.rule:
            case "import_from":
                names = Group(self.joined(nodes[2:], " "))
                return Cells(kind="import", left=(self.joined(nodes[:2], " "),), rest=names)
            case "part" | "learned":
                name = Group(self.joined(nodes[:2], " "))
                return Cells(kind=":", left=(name,), rest=self.joined(nodes[2:], " "))
            case "role":
                left = (self.doc(nodes[0]), self.joined(nodes[1:3], " "))
                return Cells(kind="role", left=left, rest=self.joined(nodes[3:], " "))
            case "variant" | "stage":
                return self._aligned_body(node)
            case rule if rule in _ASSIGNMENTS:
                return self._assignment(node)
        return None

    def _assignment(self, node: Branch) -> Cells:
        nodes = node.children
        place = next(
            i for i, child in enumerate(nodes) if isinstance(child, Leaf) and child.text == "="
        )
        equals = nodes[place].first
        rest = Group(self.joined(nodes[place + 1 :], " "))
        left = Group(self.joined(nodes[:place], " "))
        return Cells(
            kind="=", left=(left,), rest=(self.leaf(equals), " ", rest), column=equals.column
        )

    def _aligned_body(self, node: Branch) -> Cells:
        """`variant tiny { ... }`: the braces of neighbours stay in one column."""
        header, body, _ = _split(node)
        braces = Group(self._braces(body, stays=_may_stay(node), mark=_ON_ONE_LINE[node.rule]))
        left = self.joined(header, " ")
        return Cells(kind=node.rule, left=(left,), rest=braces, column=body[0].first.column)

    # ---- bodies ----

    def _with_body(self, node: Branch) -> Doc:
        header, body, rest = _split(node)
        braces = self._braces(body, stays=_may_stay(node), mark=_ON_ONE_LINE.get(node.rule, ""))
        after = (" ", self.joined(rest, " ")) if rest else ""
        return (Group((self._header(header), braces)), after)

    def _header(self, nodes: Sequence[Node]) -> Doc:
        return (self.joined(nodes, " "), " ") if nodes else ""

    def _condition(self, node: Branch, stays: bool) -> Doc:
        """A chain of `if`, `else if`, `else`: all on one line, or no branch is."""
        header, body, rest = _split(node)
        found = (self._header(header), self._braces(body, stays=stays, mark=""))
        if not rest:
            return found
        word, branch = rest
        assert isinstance(branch, Branch)
        return (*found, " ", self.doc(word), " ", self._condition(branch, stays))

    def _braces(self, body: Sequence[Node], *, stays: bool, mark: str) -> Doc:
        """A body, with `mark` between items on one line."""
        opening, *nodes, closing = body
        end = closing.first
        if not nodes and not end.before:
            return (self.doc(opening), self.doc(closing))
        if not stays:
            inner: Doc = (Hard(), self.lines(nodes, end, mark or None))
            return (self.doc(opening), Nest(inner), Hard(), self.doc(closing))
        items = (self.doc(node) for node in nodes if isinstance(node, Branch))
        inner = separated(items, (IfBroken("", mark), Line()))
        return (self.doc(opening), Nest((Line(), inner)), Line(), self.doc(closing))

    def _layout(self, node: Branch) -> Doc:
        """The segments of a layout: on one line, or in the author's lines."""
        header, (opening, *segments, closing), _ = _split(node)
        head = (self._header(header), self.doc(opening))
        end = closing.first
        if not segments and not end.before:
            return (*head, self.doc(closing))
        if segments and _stays(segments, end):
            inner: Doc = (Line(), Fill(tuple(map(self.doc, segments))))
            return Group((*head, Nest(inner), Line(), self.doc(closing)))
        return (*head, Nest((Hard(), self.lines(segments, end, ""))), Hard(), self.doc(closing))


def _beside(row: _Entry, mark: str, entry: _Entry) -> _Entry:
    """Put an item at the end of a row."""
    blank, item = row
    docs = item.docs if isinstance(item, Fill) else tuple(aligned([item]))
    return blank, Fill((*docs[:-1], (docs[-1], mark), *aligned([entry[1]])))


def _followed(entry: _Entry, doc: Doc) -> _Entry:
    blank, item = entry
    if isinstance(item, Cells):
        return blank, replace(item, rest=(item.rest, doc))
    return blank, (item, doc)


def _split(node: Branch) -> tuple[Sequence[Node], Sequence[Node], Sequence[Node]]:
    """What stands before the braces of a declaration, the braces with what they hold, and what follows."""
    marks = [child.text if isinstance(child, Leaf) else "" for child in node.children]
    start, stop = marks.index("{"), len(marks) - marks[::-1].index("}")
    return node.children[:start], node.children[start:stop], node.children[stop:]


def _branches(node: Branch) -> Iterator[Branch]:
    """The branches of a chain of conditions."""
    yield node
    rest = _split(node)[2]
    if rest and isinstance(rest[-1], Branch):
        yield from _branches(rest[-1])


def _may_stay(node: Branch) -> bool:
    """Whether the body of a declaration may stand on one line."""
    if node.rule not in _ON_ONE_LINE:
        return False
    _, (_, *nodes, closing), _ = _split(node)
    items = [child for child in nodes if isinstance(child, Branch)]
    many = bool(_ON_ONE_LINE[node.rule])
    return bool(items) and (many or len(items) == 1) and _stays(nodes, closing.first)


def _stays(nodes: Sequence[Node], end: Leaf) -> bool:
    """Whether the author wrote a body on the line of its brace, without comments."""
    leaves = list(chain.from_iterable(node.leaves() for node in nodes))
    remarks = (
        *end.before,
        *(remark for leaf in leaves for remark in (*leaf.before, leaf.after) if remark),
    )
    return not leaves[0].is_first and not remarks
