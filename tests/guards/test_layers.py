"""The order of the folders: imports go down, siblings do not know each other, nothing goes round."""

import ast
from graphlib import TopologicalSorter

import pytest

# Every folder may import folders of a lower number, and itself.
LAYERS = {
    "text": 0,
    "pretty": 0,
    "dims": 1,
    "diag": 2,
    "types": 2,
    "syntax": 3,
    "fmt": 4,
    "ops": 4,
    "graph": 5,
    "weights": 6,
    "passes": 6,
    "sema": 7,
    "backends": 7,
    "backends.torch": 8,
    "backends.onnx": 8,
    "backends.dot": 8,
    "backends.report": 8,
    "wire": 9,
    "driver": 10,
    "cli": 11,
}
# Modules at the top of the package that any layer may import, and those that none may.
ANYWHERE = {"lmmdsl.resources", "lmmdsl.version"}
MAY_IMPORT_LATE = {"driver", "cli"}


def test_every_folder_has_a_layer(modules):
    folders = {module.folder for module in modules.values()} - {""}

    assert folders <= set(LAYERS)


def test_imports_go_down_the_layers(modules):
    wrong = []
    for module in modules.values():
        if not module.folder:
            continue
        for name in module.imports(modules):
            target = modules.get(name)
            if target is None or name in ANYWHERE or target.folder == module.folder:
                continue
            if not target.folder or LAYERS[target.folder] >= LAYERS[module.folder]:
                wrong.append(f"{module.name} imports {name}")

    assert not wrong


def test_modules_import_nothing_in_a_circle(modules):
    edges = {
        module.name: {name for name in module.imports(modules) if name in modules}
        for module in modules.values()
    }

    assert len(list(TopologicalSorter(edges).static_order())) >= len(modules)


def test_no_module_has_a_type_checking_block(modules):
    wrong = [
        module.name
        for module in modules.values()
        if any(
            getattr(node, "id", getattr(node, "attr", "")) == "TYPE_CHECKING"
            for node in ast.walk(module.tree)
        )
    ]

    assert not wrong


def test_only_driver_and_cli_import_inside_functions(modules):
    wrong = [
        f"{module.name}:{node.lineno}"
        for module in modules.values()
        if module.folder not in MAY_IMPORT_LATE
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert not wrong


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("torch", {"backends.torch", "weights", "driver", "cli"}),
        ("transformers", set()),
        ("onnx", {"backends.onnx", "driver", "cli"}),
        ("onnxruntime", {"backends.onnx", "driver", "cli"}),
        ("pygraphviz", {"backends.dot"}),
        ("pydantic", {"wire"}),
        ("lark", {"syntax"}),
        ("click", {"cli"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_library_is_imported_only_in_its_place(modules, library, allowed):
    wrong = [
        module.name
        for module in modules.values()
        if library in _libraries(module.tree) and module.folder not in allowed
    ]

    assert not wrong


def _libraries(tree):
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name.split(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module.split(".")[0]
