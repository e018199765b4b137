"""Modules: files, imports, and the names that each file sees."""

from typing import Protocol

from lmmdsl.diag.codes.names import (
    DuplicateName,
    ImportCycle,
    ModuleNotFound,
    NotInModule,
    PathOutside,
    UnusedImport,
)
from lmmdsl.diag.sink import Sink
from lmmdsl.ops.base import OPS
from lmmdsl.sema.values import POISON, BlockRef, Builtin, FunctionRef, OpRef, Scope
from lmmdsl.syntax import ast
from lmmdsl.syntax.parse import parse_module
from lmmdsl.text.source import SourceFile, Span

BUILTINS = ("states",)
MAX_MODULES = 200


class Loader(Protocol):
    """Where modules come from."""

    def module(self, name: str, importer: SourceFile, sink: Sink) -> SourceFile | None:
        """The file that `importer` calls `name`, or None."""

    def modules(self, importer: SourceFile) -> tuple[str, ...]:
        """Names that could be imported, for suggestions."""

    def is_outside(self, name: str, importer: SourceFile) -> bool:
        """Whether there is such a file, but a link leads to it out of the folder of the spec."""

    def is_library(self, source: SourceFile) -> bool:
        """Whether the user cannot change this file."""


class Modules:
    """Loads each file once and resolves its imports."""

    def __init__(self, loader: Loader, sink: Sink) -> None:
        self.loader = loader
        self.sink = sink
        self.parsed: dict[SourceFile, ast.Module] = {}
        self._scopes: dict[SourceFile, Scope] = {}
        self._open: list[str] = []
        self._root = Scope(
            {name: OpRef(name) for name in OPS} | {name: Builtin(name) for name in BUILTINS}
        )

    def scope(self, file: SourceFile) -> Scope:
        """Names visible in a file.

        Reports:
            E0202 for names defined twice; what imports report.
        """
        if file in self._scopes:
            return self._scopes[file]
        module = parse_module(file, self.sink)
        self.parsed[file] = module
        scope = Scope(outer=self._root)
        for block in module.blocks:
            if not block.is_model:
                self._add(scope, block.name, BlockRef(block, scope), block.name_span)
        for function in module.functions:
            self._add(scope, function.name, FunctionRef(function, scope), function.name_span)
        self._open.append(file.name)
        for item in module.imports:
            self._import(item, scope, file)
        self._open.pop()
        self._scopes[file] = scope
        if not self.loader.is_library(file):
            self._check_used(file, module)
        return scope

    def _add(self, scope: Scope, name: str, value: object, span: Span) -> None:
        if name in scope.names:
            self.sink.add(DuplicateName(at=span, name=name, first=scope.declared[name]))
            return
        scope.names[name] = value
        scope.declared[name] = span

    def _import(self, item: ast.Import, scope: Scope, file: SourceFile) -> None:
        found = self._imported(item, file)
        if found is None:  # reported; the name stays silent wherever it is used
            scope.names.setdefault(item.alias, POISON)
        else:
            self._add(scope, item.alias, found, item.span)

    def _imported(self, item: ast.Import, file: SourceFile) -> object | None:
        source = self.loader.module(item.module, file, self.sink)
        if source is None and self.loader.is_outside(item.module, file):
            self.sink.add(PathOutside(at=item.module_span, module=item.module))
            return None
        if source is None or len(self.parsed) > MAX_MODULES:
            candidates = self.loader.modules(file)
            self.sink.add(
                ModuleNotFound(at=item.module_span, module=item.module, candidates=candidates)
            )
            return None
        if source.name in self._open and source not in self._scopes:
            start = self._open.index(source.name)
            chain = (*self._open[start:], source.name)
            self.sink.add(ImportCycle(at=item.module_span, chain=chain))
            return None
        names = self.scope(source).names
        if item.name not in names:
            own = tuple(name for name in names)
            self.sink.add(
                NotInModule(at=item.span, module=item.module, name=item.name, candidates=own)
            )
            return None
        return names[item.name]

    def _check_used(self, file: SourceFile, module: ast.Module) -> None:
        body = file.text
        for item in module.imports:
            body = body.replace(item.span.text, "", 1) if item.span.text else body
        words = set(_words(body))
        for item in module.imports:
            if item.alias not in words:
                self.sink.add(UnusedImport(at=item.span, name=item.alias))


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
