"""What the guards look at: every module of the compiler, parsed."""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """One source file of the compiler."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The layer it belongs to: `types`, `backends.torch`; "" for the modules at the top."""
        parts = self.name.split(".")[1:]
        is_package = self.path.name == "__init__.py"
        folders = parts if is_package else parts[:-1]
        return ".".join(folders[:2] if folders[:1] == ["backends"] else folders[:1])

    def imports(self, known: Collection[str]) -> list[str]:
        """Modules of this project that it imports anywhere; `known` tells modules from the names in them."""
        found = []
        for node in ast.walk(self.tree):
            match node:
                case ast.ImportFrom(module=str(module)):
                    inside = [f"{module}.{alias.name}" for alias in node.names]
                    found += [name if name in known else module for name in inside]
                case ast.Import():
                    found += [alias.name for alias in node.names]
        return [name for name in dict.fromkeys(found) if name.split(".")[0] == "lmmdsl"]

    def code_lines(self) -> list[tuple[int, str]]:
        """Numbered lines without those of docstrings, where examples may stand."""
        prose = {line for node in ast.walk(self.tree) for line in _docstring_lines(node)}
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return [(number, line) for number, line in enumerate(lines, 1) if number not in prose]


def load_module(path: Path) -> Module:
    """Parse one source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


def _docstring_lines(node: ast.AST) -> range:
    match node:
        case (
            ast.Module(body=[ast.Expr(value=ast.Constant(value=str())) as text, *_])
            | ast.ClassDef(body=[ast.Expr(value=ast.Constant(value=str())) as text, *_])
            | ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())) as text, *_])
        ):
            return range(text.lineno, (text.end_lineno or text.lineno) + 1)
        case _:
            return range(0)
