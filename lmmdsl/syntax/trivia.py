"""The concrete syntax tree: every token of a file with the comments and blank lines around it.

Takes a file that parses; gives branches (one per grammar rule) and leaves (one per token, punctuation included).
Invariants: the leaves in order, with their trivia, hold everything of the text but spaces; a comment belongs to
exactly one leaf: to the one that ends on its line, else to the one that follows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token, Tree

from lmmdsl.syntax.tables import parse_tree
from lmmdsl.text.source import SourceFile

_COMMENT = re.compile(r"#[^\n]*")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; `column` is 1-based, `blank` tells whether an empty line stands before it."""

    text: str
    column: int
    blank: bool


@dataclass(slots=True)
class Leaf:
    """A token.

    Attributes:
        before: comments on lines of their own above the token.
        after: the comment at the end of the token's line.
        column: 1-based place in its line.
        blank: whether an empty line stands directly above the token.
        is_first: whether the token is the first on its line.
    """

    kind: str
    text: str
    start: int
    end: int
    column: int
    before: tuple[Comment, ...] = ()
    after: Comment | None = None
    blank: bool = False
    is_first: bool = False

    @property
    def first(self) -> "Leaf":
        """Itself: the first token of a leaf."""
        return self

    def leaves(self) -> Iterator["Leaf"]:
        """Itself."""
        yield self


@dataclass(frozen=True, slots=True)
class Branch:
    """A grammar rule and what it matched."""

    rule: str
    children: "tuple[Branch | Leaf, ...]"

    @property
    def first(self) -> Leaf:
        """The first token."""
        return self.children[0].first

    def leaves(self) -> Iterator[Leaf]:
        """All tokens, in order."""
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True, slots=True)
class Concrete:
    """A file: its tree, and the trivia after the last token as those of an empty leaf."""

    tree: Branch
    end: Leaf


def concrete(file: SourceFile) -> Concrete:
    """The concrete tree of a file that `parse_module` accepts."""
    tree = _branch(parse_tree(file.text, "start", concrete=True))
    end = Leaf("", "", len(file.text), len(file.text), 1)
    previous: Leaf | None = None
    for leaf in [*tree.leaves(), end]:
        _attach(file, previous, leaf)
        previous = leaf
    return Concrete(tree, end)


def _branch(tree: Tree[Token]) -> Branch:
    children = (_leaf(c) if isinstance(c, Token) else _branch(c) for c in tree.children)
    return Branch(str(tree.data), tuple(children))


def _leaf(token: Token) -> Leaf:
    return Leaf(token.type, str(token), token.start_pos or 0, token.end_pos or 0, token.column or 1)


def _attach(file: SourceFile, previous: Leaf | None, leaf: Leaf) -> None:
    """Give the comments between two tokens to one of them."""
    start = previous.end if previous else 0
    gap = file.text[start : leaf.start]
    own = []
    last = 0
    for match in _COMMENT.finditer(gap):
        space = gap[last : match.start()]
        column = file.position(start + match.start())[1]
        comment = Comment(match.group().rstrip(), column, space.count("\n") > 1)
        if previous and last == 0 and "\n" not in space:
            previous.after = comment
        else:
            own.append(comment)
        last = match.end()
    leaf.before = tuple(own)
    leaf.blank = gap[last:].count("\n") > 1
    leaf.is_first = previous is None or "\n" in gap
