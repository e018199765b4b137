"""Layout of expressions, types and other rules without a body."""

from collections.abc import Sequence
from typing import TypeVar

from lmmdsl.pretty.doc import Doc, Fill, Group, Line, Nest, Remark, flat_width, separated
from lmmdsl.syntax.trivia import Branch, Leaf

Node = Branch | Leaf
T = TypeVar("T")

_TIGHT = {
    "dotted", "member", "call", "index", "sign", "path", "type", "shape", "sequence", "range", "slice", "every",
    "rest_axis", "step_all", "step_index", "sees_kind", "naming_transposed", "naming_squeezed",
    "naming_packed", "inject_rows", "atom",
}  # fmt: skip
_CHAINS = {"pipe", "binary_or", "binary_and", "binary"}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_NO_SPACE_BEFORE = {",", ":", ";", "?"}
_LITERALS = {"number", "string", "true", "false", "none", "NUMBER", "STRING"}
_SHORT = 40  # an operand up to this width stays beside the call that follows its operator


class Expressions:
    """Documents of concrete nodes; remembers which comments were placed by the items around them."""

    def __init__(self) -> None:
        self.placed: set[int] = set()

    def doc(self, node: Node) -> Doc:
        """The document of any node."""
        if isinstance(node, Leaf):
            return self.leaf(node)
        if node.rule in _CHAINS:
            return self._chain(node)
        special = getattr(self, f"_{node.rule}", None)
        if special is not None:
            found: Doc = special(node)
            return found
        if node.rule in _TIGHT:
            return self.joined(node.children, "")
        return Group(self.joined(node.children, " "))

    def leaf(self, leaf: Leaf) -> Doc:
        """A token with its comments, unless the ones above it were placed already."""
        above = () if id(leaf) in self.placed else self.above(leaf)
        return (above, leaf.text, self.remark(leaf))

    def above(self, leaf: Leaf) -> Doc:
        """The comments on lines of their own above a token."""
        return tuple(Remark(comment.text, comment.column, own=True) for comment in leaf.before)

    def remark(self, leaf: Leaf) -> Doc:
        """The comment at the end of a token's line."""
        return Remark(leaf.after.text, leaf.after.column, own=False) if leaf.after else ""

    def joined(self, nodes: Sequence[Node], space: str) -> Doc:
        """Nodes in sequence: brackets are laid out as lists, lists without brackets break after commas."""
        found: list[Doc] = []
        before = ""
        index = 0
        while index < len(nodes):
            node = nodes[index]
            text = node.text if isinstance(node, Leaf) else ""
            if found and not self._hugs(before, text, space):
                found.append(Nest(Line()) if before == "," else space)
            stop = _closing(nodes, index)
            found.append(
                self.bracketed(nodes[index : stop + 1]) if stop > index else self.doc(node)
            )
            before, index = text, stop + 1
        return tuple(found)

    def _hugs(self, before: str, text: str, space: str) -> bool:
        """Whether no space stands between two neighbours."""
        if before == ",":
            return False
        return (
            not space
            or text in _NO_SPACE_BEFORE
            or (text in ("(", "[") and before not in ("->", "=", ""))
        )

    def bracketed(self, nodes: Sequence[Node]) -> Doc:
        """`(a, b, c)` on one line if it fits; else in the author's lines, or each item on one."""
        opening, *inner, closing = nodes
        items = _items(inner)
        if not items:
            return (self.doc(opening), self.doc(closing))
        docs = [(self.doc(item), self.leaf(comma) if comma else ",") for item, comma in items[:-1]]
        last, comma = items[-1]
        docs.append((self.doc(last), self.dropped(comma)))
        content = self._rows([item for item, _ in items], docs)
        return Group((self.doc(opening), Nest((Line(""), content)), Line(""), self.doc(closing)))

    def _rows(self, items: Sequence[Node], docs: Sequence[Doc]) -> Doc:
        """The items of a list that need not fit on one line."""
        if items[0].first.is_first:
            return separated(map(Fill, in_rows(items, docs)), Line())
        if all(map(_is_literal, items)):
            return Fill(tuple(docs))
        return Group(separated(docs, Line()))

    def dropped(self, leaf: Leaf | None) -> Doc:
        """The comments of a token that is not printed."""
        return (self.above(leaf), self.remark(leaf)) if leaf else ""

    # ---- operators ----

    def _chain(self, node: Branch) -> Doc:
        """Operators of one level, each on a line of its own where the whole does not fit."""
        first, rest = _operands(node)
        if len(rest) == 1:
            operator, last = rest[0]
            width = flat_width(self.doc(first), _SHORT)
            if width is not None and _ends_in_bracket(last):
                return (self.doc(first), " ", self.doc(operator), " ", self.doc(last))
        lines = [(Line(), self.doc(operator), " ", self.doc(operand)) for operator, operand in rest]
        return Group((self.doc(first), Nest(tuple(lines))))

    def _power(self, node: Branch) -> Doc:
        base, operator, exponent = node.children
        space = "" if _is_simple(base) and _is_simple(exponent) else " "
        return (self.doc(base), space, self.doc(operator), space, self.doc(exponent))

    def _choice(self, node: Branch) -> Doc:
        word_if, condition, word_then, yes, word_else, no = map(self.doc, node.children)
        branches = (Line(), word_then, " ", yes, Line(), word_else, " ", no)
        return Group((word_if, " ", condition, Nest(branches)))

    def _comprehension(self, node: Branch) -> Doc:
        opening, item, *words, closing = map(self.doc, node.children)
        clauses: list[Doc] = [item]
        for index, word in enumerate(words):
            clauses += [Line() if index in (0, 4) else " ", word]
        return Group((opening, Nest((Line(""), *clauses)), Line(""), closing))

    # ---- selectors and segments ----

    def _step_every(self, node: Branch) -> Doc:
        name, opening, *words, closing = map(self.doc, node.children)
        return (name, opening, separated(words, " "), closing)

    def _step_range(self, node: Branch) -> Doc:
        return tuple(map(self.doc, node.children))

    def _step_some(self, node: Branch) -> Doc:
        opening, *words, closing = node.children
        return (self.doc(opening), self.joined(words, ""), self.doc(closing))

    def _slot_segment(self, node: Branch) -> Doc:
        opening, *words, closing = node.children
        return (self.doc(opening), self.joined(words, " "), self.doc(closing))

    def _span_segment(self, node: Branch) -> Doc:
        opening, name, equals, value, *rows, closing = map(self.doc, node.children)
        comma, *words = rows or ("",)
        ends = tuple(piece for word in words for piece in (" ", word))
        return (opening, name, " ", equals, " ", value, comma, *ends, closing)

    def _repeat_segment(self, node: Branch) -> Doc:
        opening, *segments, closing, star = map(self.doc, node.children)
        inner = Nest((Line(""), Fill(tuple(segments))))
        return Group((opening, inner, Line(""), closing, star))

    def _naming_interleaved(self, node: Branch) -> Doc:
        word, opening, groups, comma, *paths, closing = node.children
        head = (self.doc(word), self.doc(opening), self.doc(groups), self.doc(comma), " ")
        return (*head, self.bracketed(paths), self.doc(closing))


def in_rows(nodes: Sequence[Node], docs: Sequence[T]) -> list[tuple[T, ...]]:
    """Documents of nodes, grouped as the author put the nodes on lines."""
    rows: list[list[T]] = []
    for node, doc in zip(nodes, docs, strict=True):
        if node.first.is_first or not rows:
            rows.append([])
        rows[-1].append(doc)
    return list(map(tuple, rows))


def _closing(nodes: Sequence[Node], index: int) -> int:
    """Index of the bracket that closes the one at `index`; `index` itself when there is none."""
    wanted = _BRACKETS.get(_text(nodes[index]))
    for place in range(index + 1, len(nodes) if wanted else 0):
        if _text(nodes[place]) == wanted:
            return place
    return index


def _text(node: Node) -> str:
    return node.text if isinstance(node, Leaf) else ""


def _items(nodes: Sequence[Node]) -> list[tuple[Node, Leaf | None]]:
    """The items of a list, each with the comma after it, if there is one."""
    found: list[tuple[Node, Leaf | None]] = []
    for node in nodes:
        if isinstance(node, Leaf) and node.text == ",":
            found[-1] = (found[-1][0], node)
        else:
            found.append((node, None))
    return found


def _level(node: Node) -> str:
    """The precedence level of a chain."""
    if isinstance(node, Leaf) or node.rule not in _CHAINS:
        return ""
    operator = node.children[1]
    return operator.kind if isinstance(operator, Leaf) else operator.rule


def _operands(node: Branch) -> tuple[Node, list[tuple[Node, Node]]]:
    """The first operand of a chain, and each operator with the operand after it."""
    rest = []
    level = _level(node)
    place: Node = node
    while isinstance(place, Branch) and _level(place) == level:
        left, operator, right = place.children
        rest.append((operator, right))
        place = left
    return place, rest[::-1]


def _ends_in_bracket(node: Node) -> bool:
    return isinstance(node, Branch) and node.rule in ("call", "sequence", "atom", "comprehension")


def _is_simple(node: Node) -> bool:
    """Whether a power of this reads well without spaces: `x**2`, `self.width**-0.5`."""
    if isinstance(node, Leaf) or node.rule in ("name", "number"):
        return True
    return node.rule in ("member", "sign") and all(map(_is_simple, node.children))


def _is_literal(node: Node) -> bool:
    if isinstance(node, Branch) and node.rule == "sign":
        return _is_literal(node.children[1])
    return (node.kind if isinstance(node, Leaf) else node.rule) in _LITERALS
