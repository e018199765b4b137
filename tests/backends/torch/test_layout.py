import ast

import pytest

from lmmdsl.backends.torch.layout import atomic, docstring, statement, tidy


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("(a+b)", "a + b"),
        ("((a)+(b*c))", "a + b * c"),
        ("(a + b)*c", "(a + b) * c"),
        ("a - (b - c)", "a - (b - c)"),
        ("f((a+b),k=(1,))", "f(a + b, k=(1,))"),
        ("x[:, 1:]", "x[:, 1:]"),
        ("x[a+1:b]", "x[a + 1 : b]"),
        ("(-x).sum()", "(-x).sum()"),
        ("g(approximate='tanh')", 'g(approximate="tanh")'),
        ("x**2", "x**2"),
        ("f(x)**2", "f(x) ** 2"),
        ("a @ (b @ c)", "a @ (b @ c)"),
        ("(x if y else z).t()", "(x if y else z).t()"),
        ("~(a & b)", "~(a & b)"),
        ("(a == b) & c", "(a == b) & c"),
    ],
    ids=lambda text: text,
)
def test_tidy_keeps_needed_brackets_only(text, tidied):
    assert tidy(text) == tidied
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(tidied))


def test_atomic_brackets_an_operator():
    assert atomic("a + b") == "(a + b)"


def test_atomic_leaves_a_call():
    assert atomic("f(a + b)[0].t()") == "f(a + b)[0].t()"


def test_statement_that_is_too_long_breaks_at_the_call():
    lines = statement("x = ", f"call({'a' * 50}, {'b' * 45})", "[B]", indent=8)

    assert lines == [
        "        x = call(",
        f"            {'a' * 50},",
        f"            {'b' * 45},",
        "        )  # [B]",
    ]


def test_statement_that_fits_in_brackets_keeps_one_line():
    lines = statement("x = ", f"call({'a' * 42}, {'b' * 42})", "[B]", indent=8)

    assert lines[1] == f"            {'a' * 42}, {'b' * 42}"


def test_comment_goes_above_a_statement_that_fits_without_it():
    lines = statement("x = ", f"call({'a' * 40}, {'b' * 40})", "[B]", indent=8)

    assert lines == ["        # [B]", f"        x = call({'a' * 40}, {'b' * 40})"]


@pytest.mark.parametrize(
    "text",
    ['ends with "quotes"', 'a """ inside', "back\\slash", "null \x00 and bell \x07", '"starts'],
    ids=["quote", "triple", "backslash", "control", "start"],
)
def test_docstring_of_any_text_is_one_string(text):
    source = "\n".join(docstring(text, indent=0))

    (node,) = ast.parse(source).body
    assert isinstance(node.value, ast.Constant)
    assert text.strip('"')[:4] in node.value.value


def test_docstring_with_a_long_first_sentence_splits_at_the_clause():
    text = f"{'short words ' * 5}; {'more words ' * 6}."

    lines = docstring(text, indent=4)

    assert lines[1] == ""
    assert lines[0].endswith(".")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x[:1][:, :2]", "x[:1, :2]"),
        ("x[:1][:, 3]", "x[:1, 3]"),
        ("x[:, 1:][:, :, 0]", "x[:, 1:, 0]"),
        ("x[0][:, :2]", "x[0][:, :2]"),
        ("x[:1][:2]", "x[:1][:2]"),
        ("x[mask][:, 0]", "x[mask][:, 0]"),
    ],
)
def test_indices_of_other_axes_are_one(text, shown):
    assert tidy(text) == shown
