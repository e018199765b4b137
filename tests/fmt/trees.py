"""What formatting must keep: the syntax tree and the comments."""

import dataclasses

from lmmdsl.diag.sink import Sink
from lmmdsl.syntax.parse import parse_module
from lmmdsl.syntax.trivia import concrete
from lmmdsl.text.source import SourceFile, Span


def tree(text):
    """The syntax tree without its spans."""
    sink = Sink()
    module = parse_module(SourceFile("<test>", text), sink)
    assert not sink.diagnostics, list(map(str, sink.diagnostics))
    return bare(module)


def bare(node):
    """A node as nested tuples."""
    if isinstance(node, tuple):
        return tuple(map(bare, node))
    if not dataclasses.is_dataclass(node):
        return node
    values = (getattr(node, field.name) for field in dataclasses.fields(node))
    return (type(node).__name__, *(bare(value) for value in values if not isinstance(value, Span)))


def leaves(text):
    """Tokens of a text that parses, and the comments behind the last one."""
    source = concrete(SourceFile("<test>", text))
    return [*source.tree.leaves(), source.end]


def comments(text):
    """All comments, in order; those that share a line count as one."""
    found = []
    for leaf in leaves(text):
        found += (comment.text for comment in leaf.before)
        found += [leaf.after.text] if leaf.after else []
    return "".join(found).replace(" ", "")
