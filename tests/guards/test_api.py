"""The public interface is what its page says, in the module and in its types."""

import ast

import lmmdsl
from tests.guards.modules import ROOT

PUBLIC = [
    "CompileFailed",
    "Diagnostic",
    "Program",
    "Spec",
    "__version__",
    "check",
    "load",
    "load_weights",
    "save_weights",
    "verify",
]


def test_public_names_are_the_agreed_ones():
    assert sorted(lmmdsl.__all__) == PUBLIC


def test_every_public_name_can_be_had():
    assert [name for name in PUBLIC if getattr(lmmdsl, name, None) is None] == []


def test_types_declare_every_public_name():
    tree = ast.parse((ROOT / "lmmdsl" / "__init__.pyi").read_text(encoding="utf-8"))
    imported = [
        alias.asname
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    declared = [node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)]

    assert sorted(imported + declared) == PUBLIC
