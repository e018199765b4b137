"""Break every spec and library file in every small way: each must give diagnostics, never a traceback, and soon.

    python tools/fuzz.py [FILE ...] [--stride N]

A file is cut off after each token, and each token is deleted, doubled, and replaced by another of the file in turn.
Library files are broken under a spec that imports them. Prints each failure with the text that shows it; exit 1 on any.
"""

import argparse
import itertools
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lmmdsl.diag.render import render
from lmmdsl.diag.sink import Sink
from lmmdsl.driver.session import Request, Session
from lmmdsl.syntax.parse import parse_module
from lmmdsl.syntax.trivia import concrete
from lmmdsl.text.source import SourceFile

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 5.0  # seconds of processor time for one text


@dataclass(frozen=True)
class Broken:
    """A file with one small change."""

    path: Path
    change: str
    text: str


@dataclass(frozen=True)
class Failure:
    """A text that the compiler did not survive."""

    broken: Broken
    problem: str


class TooSlow(Exception):
    """A check ran into the limit."""


def spec_files() -> list[Path]:
    """Specs and library files, in order."""
    return sorted((ROOT / "specs").rglob("*.lmm"))


def mutations(path: Path, text: str) -> Iterator[Broken]:
    """Every prefix that ends with a token, every deletion, doubling and replacement of one token."""
    leaves = list(concrete(SourceFile(str(path), text)).tree.leaves())
    others = itertools.cycle(leaves[7::13] or leaves)
    for number, (leaf, other) in enumerate(zip(leaves, others, strict=False), 1):
        before, after = text[: leaf.start], text[leaf.end :]
        name = f"token {number} `{leaf.text[:20]}`"
        yield Broken(path, f"cut off after {name}", text[: leaf.end])
        yield Broken(path, f"without {name}", before + after)
        yield Broken(path, f"with {name} twice", f"{before}{leaf.text} {leaf.text}{after}")
        yield Broken(path, f"with `{other.text[:20]}` for {name}", before + other.text + after)


@cache
def roots() -> dict[Path, tuple[Path, str | None]]:
    """For every file, a spec that reads it and its smallest variant."""
    found: dict[Path, tuple[Path, str | None]] = {}
    for spec in spec_files():
        source = SourceFile(str(spec), spec.read_text(encoding="utf-8"))
        models = [block for block in parse_module(source, Sink()).blocks if block.is_model]
        if models:
            variant = "tiny" if "variant tiny" in source.text else None
            for path in Session().check(Request(path=str(spec), variant=variant)).texts:
                found.setdefault(path, (spec, variant))
            found[spec] = (spec, variant)
    return found


def survives(broken: Broken, root: tuple[Path, str | None]) -> Failure | None:
    """Check a broken file; a failure when that raises or takes too long."""
    spec, variant = root
    try:
        with _limited(LIMIT):
            request = Request(path=str(spec), variant=variant)
            render(Session({broken.path: broken.text}).check(request).diagnostics)
    except TooSlow:
        return Failure(broken, f"took longer than {LIMIT} s")
    except Exception:  # a fuzzer reports whatever gets out
        return Failure(broken, traceback.format_exc())
    return None


def failures(paths: list[Path], stride: int = 1, offset: int = 0) -> Iterator[Failure]:
    """Break files; `stride` takes every n-th change of all, from `offset`."""
    known = roots()
    files = [(path, path.read_text(encoding="utf-8")) for path in paths]
    every = itertools.chain.from_iterable(mutations(path, text) for path, text in files)
    for broken in itertools.islice(every, offset, None, stride):
        failure = survives(broken, known.get(broken.path, (broken.path, None)))
        if failure:
            yield failure


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise TooSlow

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "files", nargs="*", type=Path, help="specs or library files; all, if none are given"
    )
    parser.add_argument("--stride", type=int, default=1, help="take every n-th change")
    options = parser.parse_args()
    paths = [path.absolute() for path in options.files] or spec_files()
    start, count = time.monotonic(), 0
    for failure in failures(paths, options.stride):
        print(f"{failure.broken.path.name} {failure.broken.change}\n{failure.problem}", flush=True)
        count += 1
    print(f"{count} failures in {time.monotonic() - start:.0f} s")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
