"""Text to syntax tree: precedence, places, recovery, limits."""

import pytest

from lmmdsl.diag.sink import Sink
from lmmdsl.syntax import ast
from lmmdsl.syntax.parse import parse_expression, parse_module
from lmmdsl.syntax.trivia import concrete
from lmmdsl.text.source import SourceFile


def expression(text):
    """An expression that parses."""
    sink = Sink()
    found = parse_expression(SourceFile("test", text), sink)
    assert not sink.diagnostics, list(map(str, sink.diagnostics))
    return found


def module(text):
    """A module, and the codes and lines of what was reported."""
    sink = Sink()
    found = parse_module(SourceFile("test", text), sink)
    return found, [(d.code, d.primary.line) for d in sink.diagnostics]


def shown(node):
    """An expression with all its parentheses."""
    match node:
        case ast.Literal(value=value):
            return str(value)
        case ast.Name(name=name):
            return name
        case ast.Unary(operator=operator, operand=operand):
            return f"({operator} {shown(operand)})"
        case ast.Binary(operator=operator, left=left, right=right):
            return f"({shown(left)} {operator} {shown(right)})"
        case _:
            return node.span.text


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("-x ** 2", "(- (x ** 2))"),
        ("2 ** -x ** y", "(2 ** (- (x ** y)))"),
        ("a // b % c @ d", "(((a // b) % c) @ d)"),
        ("a + 1 .. b * 2", "((a + 1) .. (b * 2))"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("x |> f or g", "(x |> (f or g))"),
        ("1_000", "1000"),
        ("1e-5", "1e-05"),
    ],
)
def test_operators_bind_as_the_reference_says(text, tree):
    assert shown(expression(text)) == tree


def test_a_node_knows_its_place():
    found = expression("f(a,\n  width = heads * 64)")

    assert found.arguments[1].value.span.text == "heads * 64"
    assert found.arguments[1].span.line == 2


def test_every_declaration_that_does_not_parse_is_reported_and_the_others_stay():
    text = "block A( {}\nblock B() {}\nfn f(x: [B) -> [B] {}\nmodel M {}\n"
    found, reported = module(text)

    assert reported == [("E0101", 1), ("E0101", 3)]
    assert [block.name for block in found.blocks] == ["B", "M"]


def test_a_word_of_the_grammar_is_a_name_where_only_a_name_can_stand():
    found, reported = module(
        "model M {\n variant v { llm.vocab = 3 vocab.image = 4 }\n preprocess v { train = 1 stage = 2 }\n}"
    )

    assert reported == []
    variant, section = found.blocks[0].items
    assert [override.path for override in variant.overrides] == [
        ("llm", "vocab"),
        ("vocab", "image"),
    ]
    assert [setting.name for setting in section.settings] == ["train", "stage"]


@pytest.mark.parametrize("text", ["[a<b]+[c>d]", "f(a<b, c>d)", "(a<b) == (c>d)"])
def test_comparisons_without_spaces_are_no_tokens(text):
    expression(text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r'"a\nb"', "a\nb"), (r'"\"\\"', '"\\'), (r'"A\t"', "A\t"), ('"<#>"', "<#>")],
)
def test_strings_know_their_escapes(written, meant):
    assert expression(written).value == meant


def test_a_docstring_loses_its_indentation():
    found, _ = module('block A() {\n  """One.\n\n     Two.\n  """\n}')

    assert found.blocks[0].doc == "One.\n\nTwo."


@pytest.mark.parametrize("depth", [100, 190])
def test_chains_within_the_limit_parse(depth):
    expression("+".join(["x"] * depth))


def test_comments_belong_to_the_token_before_on_their_line_or_to_the_one_below():
    text = "# top\n\nblock A() {  # open\n  # above\n  a = 1 # one\n  # last\n}\n# end\n"
    source = concrete(SourceFile("test", text))
    leaves = {leaf.text: leaf for leaf in source.tree.leaves()}

    assert [c.text for c in leaves["block"].before] == ["# top"]
    assert leaves["block"].blank
    assert leaves["{"].after.text == "# open"
    assert [c.text for c in leaves["a"].before] == ["# above"]
    assert leaves["1"].after.column == 9
    assert [c.text for c in leaves["}"].before] == ["# last"]
    assert [c.text for c in source.end.before] == ["# end"]
