"""Outputs appear whole or not at all: everything is written aside and moved into place at the end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmmdsl.diag.codes.project import CannotWrite
from lmmdsl.driver.failure import CompileFailed
from lmmdsl.driver.files import problem_of


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give a path to write; on success it replaces `target`, on failure nothing is left.

    Missing folders on the way to `target` are made.

    Reports:
        E0903 when it cannot be written.
    """
    with _reporting(target), _aside(target.parent, target.name) as folder:
        written = folder / target.name
        yield written
        os.replace(written, target)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; on success its files come to stand in `target`.

    A new `target` appears by one move. An existing one keeps its other files (the weights may lie there), and each
    written file replaces its predecessor by one move.

    Reports:
        E0903 when it cannot be written.
    """
    home = target if target.is_dir() else target.parent
    with _reporting(target), _aside(home, target.name) as folder:
        filled = folder / target.name
        filled.mkdir()
        yield filled
        if target.is_dir():
            _merge(filled, target)
        else:
            os.replace(filled, target)


def write_text(target: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with new_file(target) as path:
        path.write_text(text, encoding="utf-8")


def write_bytes(target: Path, data: bytes) -> None:
    """Write a binary file whole or not at all."""
    with new_file(target) as path:
        path.write_bytes(data)


def _merge(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            os.replace(path, place)


@contextmanager
def _aside(home: Path, name: str) -> Iterator[Path]:
    """A folder beside the target for the time of writing."""
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=home))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _reporting(target: Path) -> Iterator[None]:
    """Turn a full disk, a missing right and the like into E0903."""
    try:
        yield
    except OSError as error:
        if not _concerns(error, target):
            raise
        problem = CannotWrite(path=str(target), problem=problem_of(error))
        raise CompileFailed((problem,)) from error


def _concerns(error: OSError, target: Path) -> bool:
    """Whether an error came from writing; a failed `write` names no file."""
    home = os.path.abspath(target.parent)
    return error.filename is None or os.path.abspath(os.fspath(error.filename)).startswith(home)
