"""Examples in Markdown: every fence ```lmm is a file that is checked.

Behind the word `lmm` may stand a name (```lmm geometry.lmm), under which the other examples of the page import it,
or what to build from an example that has no model of its own (```lmm Mlp(in = 3, hidden = 5, out = 7)).

At line ends: `# error: E0401` and `# warning: W0211` assert what is reported there, and nothing else is;
`# is: [B, 576, 4096]` asserts the type, or the number, of the value that the line names.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lmmdsl.driver.session import Request, Session
from lmmdsl.graph.ir import distinct

_FENCE = re.compile(r"^```lmm ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADER = re.compile(r"^#+ (.+)$", re.MULTILINE)
_REPORTED = re.compile(r"# (?:error|warning): ([EW]\d{4}(?:, [EW]\d{4})*)")
_TYPE = re.compile(r"^\s*(?:expose )?(\w+) *(?:=|:).*# is: (.+?)\s*$")


@dataclass(frozen=True)
class Example:
    """One fence."""

    title: str
    place: int
    info: str
    text: str

    @property
    def id(self) -> str:
        """Name of the test."""
        return f"{self.title}-{self.place}"

    @property
    def is_file(self) -> bool:
        """Whether other examples import it."""
        return self.info.endswith(".lmm")

    @property
    def source(self) -> str:
        """The text with a model around it, if it needs one."""
        if not self.info or self.is_file:
            return self.text
        return f"{self.text}\nmodel Example {{ part: {self.info} }}\n"

    def reported(self) -> list[tuple[int, str]]:
        """Lines and codes that the example announces."""
        lines = enumerate(self.text.splitlines(), 1)
        found = ((number, match) for number, line in lines if (match := _REPORTED.search(line)))
        return [(number, code) for number, match in found for code in match[1].split(", ")]

    def types(self) -> list[tuple[int, str, str]]:
        """Lines, names and types that the example announces."""
        lines = enumerate(self.text.splitlines(), 1)
        return [(number, m[1], m[2]) for number, line in lines if (m := _TYPE.match(line))]


def examples(page: Path) -> list[Example]:
    """All fences of a page, each under its header."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        header = [m[1] for m in _HEADER.finditer(_without_fences(text[: match.start()]))][-1]
        place = 1 + sum(example.title == header for example in found)
        found.append(Example(header, place, match[1], match[2]))
    return found


def _without_fences(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def check(example: Example, page: list[Example], folder: Path) -> None:
    """Check an example in a folder with the named files of its page."""
    for other in page:
        if other.is_file:
            (folder / other.info).write_text(other.text, encoding="utf-8")
    path = folder / (example.info if example.is_file else "example.lmm")
    path.write_text(example.source, encoding="utf-8")
    checked = Session().check(Request(path=str(path)))
    found = [(d.primary.line if d.primary else 0, d.code) for d in checked.diagnostics]
    found = [item for item in found if not (example.is_file and item[1] == "E0212")]
    assert found == example.reported(), "\n".join(map(str, checked.diagnostics))
    if checked.program is not None:
        known = list(values(checked.program.full, checked.source))
        for line, name, wanted in example.types():
            named = [(at, shown) for at, known_name, shown in known if known_name == name]
            # What a function computed stands where the function is written.
            here = [shown for at, shown in named if at == line] or [shown for _, shown in named]
            assert set(here) == {wanted}, name


def values(root, source) -> Iterator[tuple[int, str, str]]:
    """Line, name and type of every named value; line, name and worth of every compile-time number."""
    for definition in distinct(root):
        first = definition.span.line
        for name, value in definition.values.items():
            for number, line in enumerate(definition.span.text.splitlines(), first):
                if re.match(rf"\s*{name} *=", line):
                    yield number, name, str(value)
        for graph in definition.methods.values():
            for node in graph.nodes:
                if node.span.file is source:
                    for name, kind in zip(node.names, node.types, strict=False):
                        yield node.span.line, name, str(kind)
