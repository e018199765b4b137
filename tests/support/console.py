"""Command lines in Markdown: a page is read into sections, and its commands are run.

A section starts at a header, which names the test. A fence ```lmm NAME writes a file into the section's folder.
A fence ```console holds commands (`$ lmmc ...`), each followed by what it prints and, unless the exit code is 0, a
last line `[code]`.
"""

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from lmmdsl.cli.main import run

_FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADER = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """One test of a page: the text under a header."""

    page: Path
    title: str
    text: str

    @property
    def id(self) -> str:
        """Name of the test."""
        return f"{self.page.stem}: {self.title}"


def read_sections(page: Path) -> list[Section]:
    """Read the sections of a page."""
    _, *pieces = _HEADER.split(page.read_text(encoding="utf-8"))
    return [
        Section(page, title, text) for title, text in zip(pieces[::2], pieces[1::2], strict=True)
    ]


def replay(section: Section) -> str:
    """Run a section's commands in the working folder; gives its text with what they print now."""
    return _FENCE.sub(_replay_fence, section.text)


def _replay_fence(fence: re.Match[str]) -> str:
    kind, name, body = fence.groups()
    if kind == "console":
        commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
        body = "".join(f"$ {command}\n{_output(command)}" for command in commands)
    elif name:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(body, encoding="utf-8")
    return f"```{kind}{' ' + name if name else ''}\n{body}```"


def _output(command: str) -> str:
    tool, *arguments = shlex.split(command)
    if tool == "cat":
        return Path(arguments[0]).read_text(encoding="utf-8")
    assert tool == "lmmc", command
    source, path = (
        (arguments[-1], arguments[:-2]) if arguments[-2:-1] == ["<"] else (None, arguments)
    )
    printed, errors = io.StringIO(), io.StringIO()
    stdin = io.TextIOWrapper(io.BytesIO(Path(source).read_bytes() if source else b""))
    with patch("sys.stdin", stdin), redirect_stdout(printed), redirect_stderr(errors):
        code = run(path)
    return f"{printed.getvalue()}{errors.getvalue()}" + (f"[{code}]\n" if code else "")
