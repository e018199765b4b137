"""How things are laid out, one choice each."""

import textwrap

import pytest

from lmmdsl.fmt import DoesNotParse, format_source


def body(text):
    """The layout of a method's body or of a block's items, without the block around it."""
    formatted = format_source(f"block A() {{\n{text}\n}}\n")
    return textwrap.dedent("\n".join(formatted.splitlines()[1:-1]))


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("a=1+2*3", "a = 1 + 2 * 3"),
        ("a = - 1 ** - 2", "a = -1**-2"),
        ("a = (b+c) ** 2", "a = (b + c) ** 2"),
        ("a = x [ : , 1 : , * ]", "a = x[:, 1:, *]"),
        ("a = f ( x , y = 2 , )", "a = f(x, y = 2)"),
        ("a = 0 .. depth", "a = 0..depth"),
        ("a = [ f(i) for i in xs if i%2 == 0 ]", "a = [f(i) for i in xs if i % 2 == 0]"),
        ("w : param[ out,*b ]=zeros", "w: param [out, *b] = zeros"),
        ("if a{b:C()}", "if a { b: C() }"),
        ("if a{\nb:C()}else{c:D()}", "if a {\n  b: C()\n} else {\n  c: D()\n}"),
        ("naming hf{a=\"x\"|\"y\"}", 'naming hf { a = "x" | "y" }'),
        ("naming hf{\na=\"x\",\nb=\"y\"}", 'naming hf {\n  a = "x"\n  b = "y"\n}'),
        ("naming hf{\na=\"x\",b=\"y\"\nc=\"z\"}", 'naming hf {\n  a = "x", b = "y"\n  c = "z"\n}'),
    ],
)  # fmt: skip
def test_spaces_and_bodies(written, laid_out):
    assert body(written) == laid_out


def test_names_of_neighbouring_parts_share_a_column():
    assert body("up: A()\ndown: B()\nw: param [1]") == "up:   A()\ndown: B()\nw:    param [1]"


def test_an_empty_line_starts_another_column():
    assert body("up: A()\n\n\n\ndown: B()") == "up: A()\n\ndown: B()"


def test_equals_signs_stay_in_a_column_where_they_were_in_one():
    assert body("a   = 1\nbcd = 2") == "a   = 1\nbcd = 2"
    assert body("a = 1\nbcd = 2") == "a = 1\nbcd = 2"


def test_comments_stay_in_a_column_where_they_were_in_one():
    assert body("a = 1      # x\nbcd = 2    # y") == "a = 1    # x\nbcd = 2  # y"
    assert body("a = 1 # x\nbcd = 2 # y") == "a = 1  # x\nbcd = 2  # y"


def test_comments_stay_above_their_item_and_before_the_brace():
    text = "# one\n\n# two\na = 1\n# three"

    assert body(text) == text


def test_a_long_call_moves_its_arguments_to_one_line_then_to_one_each():
    arguments = [f"argument_{letter} = width // {letter * 3}" for letter in "abcde"]
    one_line = body(f"part: Block({', '.join(arguments[:4])})")
    one_each = body(f"part: Block({', '.join(arguments)})")

    assert one_line == f"part: Block(\n  {', '.join(arguments[:4])}\n)"
    assert one_each == "part: Block(\n  " + ",\n  ".join(arguments) + "\n)"


def test_a_long_call_keeps_the_lines_of_its_author():
    rows = [
        ", ".join(f"argument_{letter} = {letter * 12}" for letter in word)
        for word in ("ab", "cdef")
    ]
    text = "part: Block(\n  " + ",\n  ".join(rows) + "\n)"

    assert body(text) == text


def test_a_long_chain_breaks_before_each_operator():
    names = [letter * 40 for letter in "abc"]

    assert body(f"x = {' |> '.join(names)}") == "x = " + "\n  |> ".join(names)


def test_a_layout_keeps_the_lines_of_its_author():
    text = 'model M {\n  layout chat {\n    <bos> "a"\n    {x: loss, limit = 3} (<image = v> {y})*\n  }\n}\n'

    assert format_source(text) == text


def test_declarations_stand_apart():
    assert (
        format_source("fn f() -> [] {}\nfn g() -> [] {}") == "fn f() -> [] {}\n\nfn g() -> [] {}\n"
    )


def test_a_docstring_moves_with_its_block():
    written = '   block A() {\n      """One.\n\n      Two\n        three.  \n      """\n   }'

    assert format_source(written) == 'block A() {\n  """One.\n\n  Two\n    three.\n  """\n}\n'


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("", ""),
        ("\n \n", ""),
        ("# a\n\n\n# b", "# a\n\n# b\n"),
        ("\ufefffrom a import b\r\n", "from a import b\n"),
    ],
    ids=["empty", "blank", "comments", "windows"],
)
def test_texts_without_declarations_and_from_other_systems(written, laid_out):
    assert format_source(written) == laid_out


def test_text_that_does_not_parse_is_refused_with_its_diagnostics():
    with pytest.raises(DoesNotParse, match="E0101") as refused:
        format_source("block A( {}", "a.lmm")

    assert [d.code for d in refused.value.diagnostics] == ["E0101"]
