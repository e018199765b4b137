"""Where source text comes from: files on disk, or texts held in memory over them.

Takes paths and dotted module names; gives `SourceFile`s, each read once. `std.a.b` is `a/b.lmm` of the standard
library; any other name is looked up beside the file that imports it. Names hold no dots or slashes and links are
followed before they are judged, so a spec cannot reach outside its folder and the library.
"""

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lmmdsl.diag.codes.project import CannotRead, FileMissing, NotText
from lmmdsl.diag.sink import Sink
from lmmdsl.resources import library_folder
from lmmdsl.text.source import SourceFile

MAX_BYTES = 1_600_000
LIBRARY = "std"
SUFFIX = ".lmm"


class Files:
    """The sources of one compilation.

    Attributes:
        texts: what was read, by absolute path; None for a file that is not there or cannot be read.
    """

    def __init__(self, overlay: Mapping[Path, str] | None = None) -> None:
        self._overlay = {path.absolute(): text for path, text in (overlay or {}).items()}
        self._sources: dict[Path, SourceFile | None] = {}
        self._folders: dict[SourceFile, Path] = {}

    @property
    def texts(self) -> dict[Path, str | None]:
        """Text of every file asked for, by absolute path."""
        return {path: source.text if source else None for path, source in self._sources.items()}

    def open(self, path: str, sink: Sink) -> SourceFile | None:
        """Read the file that the user named.

        Reports:
            E0901 when there is none, E0906 when it cannot be read, E0902 when it is not UTF-8 text.
        """
        return self._source(Path(path).absolute(), path, sink)

    def hold(self, name: str, text: str, folder: Path) -> SourceFile:
        """Make a source of a text that has no file (standard input); it imports from `folder`."""
        source = SourceFile(name, text)
        self._folders[source] = folder.absolute()
        return source

    def module(self, name: str, importer: SourceFile, sink: Sink) -> SourceFile | None:
        """Find the module that `importer` calls `name`; None where there is none.

        Reports:
            E0902 and E0906, as `open` does.
        """
        root, path, shown = self._place(name, importer)
        if path in self._overlay:
            return self._source(path, shown, sink)
        if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
            self._sources.setdefault(path, None)
            return None
        return self._source(path, shown, sink)

    def is_outside(self, name: str, importer: SourceFile) -> bool:
        """Whether there is such a file, but a link leads to it out of the folder of the spec."""
        root, path, _ = self._place(name, importer)
        return path.exists() and not path.resolve().is_relative_to(root.resolve())

    def _place(self, name: str, importer: SourceFile) -> tuple[Path, Path, str]:
        """The folder that bounds a module, its path, and the name to show."""
        *folders, last = name.split(".")
        parts = (*folders, last + SUFFIX)
        root, shown = self._root(parts, importer)
        return root, root.joinpath(*parts[1:] if parts[0] == LIBRARY else parts), shown

    def modules(self, importer: SourceFile) -> tuple[str, ...]:
        """Dotted names that `importer` could import, for suggestions."""
        library = library_folder()
        shipped = _specs(library, "**/*")
        known = [(LIBRARY, *p.relative_to(library).with_suffix("").parts) for p in shipped]
        beside = _specs(self._folders[importer], "*")
        known += [(path.stem,) for path in beside if path.name != os.path.basename(importer.name)]
        return tuple(sorted(".".join(parts) for parts in known))

    def is_library(self, source: SourceFile) -> bool:
        """Whether a source belongs to the standard library, which the user cannot change."""
        folder = self._folders.get(source)
        return folder is not None and folder.is_relative_to(library_folder())

    def _root(self, parts: tuple[str, ...], importer: SourceFile) -> tuple[Path, str]:
        if parts[0] == LIBRARY:
            return library_folder(), "/".join(parts)
        beside = os.path.dirname(importer.name)
        return self._folders[importer], os.path.join(beside, *parts)

    def _source(self, path: Path, shown: str, sink: Sink) -> SourceFile | None:
        if path not in self._sources:
            text = self._overlay[path] if path in self._overlay else _read(path, shown, sink)
            source = None if text is None else SourceFile(shown, text)
            self._sources[path] = source
            if source is not None:
                self._folders[source] = path.parent
        return self._sources[path]


def _read(path: Path, shown: str, sink: Sink) -> str | None:
    try:
        data = _bytes(path)
    except FileNotFoundError:
        sink.add(FileMissing(path=shown, candidates=_near(path, shown)))
        return None
    except OSError as error:
        sink.add(CannotRead(path=shown, problem=problem_of(error)))
        return None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        sink.add(NotText(path=shown))
        return None


def _bytes(path: Path) -> bytes:
    """Content of a regular file; never waits for a pipe or device."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES} bytes")
    return data


def problem_of(error: OSError) -> str:
    """What the system says is wrong, as a part of a sentence."""
    text = error.strerror or str(error)
    return text[0].lower() + text[1:]


def _near(path: Path, shown: str) -> tuple[str, ...]:
    beside = os.path.dirname(shown)
    return tuple(os.path.join(beside, found.name) for found in _specs(path.parent, "*"))


def _specs(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern + SUFFIX)) if folder.is_dir() else []
