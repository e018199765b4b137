"""Texts that aim at the compiler: each ends soon, with a diagnostic or a program, and can be formatted or refused."""

import time

import pytest

from lmmdsl.diag.render import render
from lmmdsl.driver.session import Request, Session, check_text
from lmmdsl.fmt import DoesNotParse, format_source

SECONDS = 15  # far above what each takes; a hang is what this finds

LINEAR = "from std.nn import Linear\n"


def model(items="", body="", before=""):
    return (
        f"{before}model M {{\n{items}\nflow f(x: [B, 4]) -> [B, 4] {{\n{body}\nreturn x\n}}\n}}\n"
    )


def doubled(first, step):
    """`a0 = first`, then sixty values each made of the one before."""
    return "\n".join(
        [f"a0 = {first}", *(f"a{k} = {step.format(f'a{k - 1}')}" for k in range(1, 60))]
    )


def chain(count, item, last):
    return "\n".join(item.format(k, k + 1) for k in range(count)) + "\n" + last + "\n"


BOUNDED = {
    "brackets": (model(body="y = " + "(" * 5000 + "x" + ")" * 5000), "E0102"),
    "sum": (model(body="y = " + "+".join(["x"] * 3000)), "E0102"),
    "pipe": (model(body="y = x" + " |> relu" * 3000), "E0102"),
    "not": (model(body="y = " + "not " * 9000 + "true"), "E0102"),
    "minus": (model(body="y = " + "-" * 9000 + "1"), "E0102"),
    "power": (model(body="y = " + "2**" * 9000 + "1"), "E0102"),
    "members": (model(body="y = x" + ".a" * 9000), "E0102"),
    "choice": (model(body="y = " + "if true then 1 else " * 4000 + "1"), "E0102"),
    "else-if": (model(body="if false { a = 1 }" + " else if false { a = 1 }" * 3000), "E0102"),
    "file": ("#" * 200_000, "E0102"),
    "digits": (model("a = " + "9" * 5000), "E0103"),
    "exponent": (model("a = 1e999999"), "E0103"),
    "float-overflow": (model("a = 10.0 ** 400"), "E0307"),
    "tower-of-powers": (model("a = 9**9**9**9**9"), "E0307"),
    "zero": (model("a = 1 // 0\nb = 1 % 0\nc = 1.0 / 0\nd = 1 / 0\ne = 0.0 ** -1"), "E0307"),
    "string": (model(doubled('"xxxxxxxxxx"', "{0} + {0}")), "E0307"),
    "list": (model(doubled("[1]", "{0} + {0}")), "E0307"),
    "number": (model(doubled("3", "{0} + {0}")), ""),
    "number-wrong": (model(doubled("3", "{0} + {0}") + "\nrequire a50 == 1"), "E0304"),
    "polynomial": (model(body="n = x.shape[0]\n" + "n = n * (n + 1)\n" * 30), "E0307"),
    "quotients": (model(body="n = x.shape[0]\n" + "n = (n + n // 3) // 2\n" * 60), "E0307"),
    "joined-axes": (model(body="x = concat(x, x, axis = 0)\n" * 90), "E0307"),
    "range": (model(body="for i in 0..100000000 { x = x + 1 }"), "E0307"),
    "loops": (model(body="for i in 0..999 { for j in 0..999 { for k in 0..999 { x = x + 1 } } }"), "E0310"),
    "lists-of-lists": (model("a = [[[0 for i in 0..4000] for j in 0..4000] for k in 0..4000]"), "E0310"),
    "layers": (model("a: 1000000000 * Linear(4, 4)", before=LINEAR), "E0307"),
    "layers-of-layers": (
        LINEAR + "block S0(n) { layers: 4096 * Linear(4, 4) }\n"
        + "".join(f"block S{k}(n) {{ layers: 4096 * S{k - 1}(n) }}\n" for k in range(1, 8))
        + model("a: S7(1)\nstage s { train a.layers[*].layers[*] }"), "E0307",
    ),
    "block-in-itself": (model("a: A()", before="block A() { a: A() }\n"), "E0306"),
    "growing-block": (model("a: A(1)", before="block A(n) { a: A(n + 1) }\n"), "E0306"),
    "two-parts-each": (
        chain(60, "block A{0}(n) {{ a: A{1}(n * 2)\n b: A{1}(n * 2 + 1) }}", "block A60(n) {}")
        + model("a: A0(1)"), "E0306",
    ),
    "two-calls-each": (
        chain(30, "fn f{0}(x: [*b]) -> [*b] {{ return f{1}(f{1}(x)) }}", "fn f30(x: [*b]) -> [*b] { return x }")
        + model(body="x = f0(x)"), "E0310",
    ),
    "recursive-function": (model(body="x = f(x)", before="fn f(x: [*b]) -> [*b] { return f(x) }\n"), "E0306"),
    "circle-of-values": (model("a = b\nb = a"), "E0207"),
    "nul": (model('a = "\0"') + "\0", "E0101"),
    "byte-order-mark": ("\ufeff" + model(), "E0101"),
    "letters": (model("größe = 1"), "E0101"),
    "wide-letters": (model("\uff41 = 1"), "E0101"),
    "digits-of-another-script": (model("a = \u0663"), "E0101"),
    "surrogate": (model(r'a = "\ud800"'), "E0103"),
    "open-docstring": ('"""x', "E0101"),
    "open-string": ('model M { source "abc\n }', "E0101"),
    "pattern": (model(body='y = rearrange(x, "' + "(" * 1000 + '")'), "E0401"),
    "long-pattern": (model(body='y = rearrange(x, "b c -> ' + "b c " * 5000 + '")'), "E0401"),
    "negative-size": (model("a: A(1)", before="block A(n) { w: param [n - 5] }\n"), "E0407"),
    "models": ("".join(f"model M{k} {{}}\n" for k in range(500)), "E0213"),
    "errors": (model("\n".join(f"a{k}: Nope{k}()" for k in range(150))), "E0201"),
    "crlf": (model("a = 1").replace("\n", "\r\n"), ""),
    "words-of-python": (model("__class__ = 1\nimport_ = 2\ndef = 3\nlambda = 4"), ""),
    "code-in-a-string": (model(r'source "\"); import os; (\""'), ""),
    "text-direction": (model('a = "\u202e" # \u2066'), ""),
    "long-list": (model(f"a = [{', '.join(['1'] * 6000)}]"), ""),
    "nothing": ("", ""),
}  # fmt: skip

hostile = pytest.mark.parametrize(("text", "code"), BOUNDED.values(), ids=BOUNDED.keys())


@hostile
def test_a_hostile_text_ends_soon_with_its_code(text, code):
    start = time.process_time()
    diagnostics = check_text(text, Request(path="spec.lmm")).diagnostics
    render(diagnostics)

    assert not code or code in {diagnostic.code for diagnostic in diagnostics}
    assert time.process_time() - start < SECONDS


@hostile
def test_a_hostile_text_is_formatted_or_refused_soon(text, code):
    start = time.process_time()
    formatted = formatted_or_refused(text)

    assert format_source(formatted) == formatted
    assert time.process_time() - start < SECONDS


def formatted_or_refused(text):
    """The layout of a text, or "" where it has none."""
    try:
        return format_source(text)
    except DoesNotParse:
        return ""


def test_modules_that_import_each_other_are_reported(tmp_path):
    (tmp_path / "a.lmm").write_text("from b import B\nblock A() { b: B() }\n")
    (tmp_path / "b.lmm").write_text("from a import A\nblock B() { a: A() }\n")
    spec = tmp_path / "spec.lmm"
    spec.write_text("from a import A\nmodel M { a: A() }\n")

    assert "E0205" in codes(spec)


def test_a_module_that_imports_itself_is_reported(tmp_path):
    spec = tmp_path / "spec.lmm"
    spec.write_text("from spec import A\nblock A() {}\nmodel M { a: A() }\n")

    assert "E0205" in codes(spec)


def test_a_chain_of_a_thousand_imports_is_refused(tmp_path):
    for number in range(1000):
        text = (
            f"from m{number + 1} import A{number + 1}\nblock A{number}() {{ a: A{number + 1}() }}\n"
        )
        (tmp_path / f"m{number}.lmm").write_text(text)
    spec = tmp_path / "spec.lmm"
    spec.write_text("from m0 import A0\nmodel M { a: A0() }\n")

    assert codes(spec)


def codes(path):
    """Codes reported about a spec on disk."""
    return {d.code for d in Session().check(Request(path=str(path))).diagnostics}
