"""The cases of this folder: a spec with one mistake, and beside it (`.stderr`) what `lmmc check` says of it.

The comment on top says what a user did wrong; its line `check: ...` holds options of the command. Modules in folders
called `parts` are imported by cases and are none themselves.
"""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lmmdsl.driver.session import Checked, Request, Session

HERE = Path(__file__).parent
_OPTIONS = re.compile(r"^# check: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One mistake."""

    spec: Path

    @property
    def name(self) -> str:
        """Area and slug."""
        return self.spec.relative_to(HERE).with_suffix("").as_posix()

    @property
    def expected(self) -> Path:
        """What must be said."""
        return self.spec.with_suffix(".stderr")

    def request(self) -> Request:
        """What to check, named as a user in the case's folder would name it."""
        found = _OPTIONS.search(self.spec.read_text(encoding="utf-8"))
        words = shlex.split(found[1]) if found else []
        options = dict(zip(words[::2], words[1::2], strict=True))
        settings = [tuple(options["--set"].split("=", 1))] if "--set" in options else []
        return Request(
            path=self.spec.name, variant=options.get("--variant"), settings=tuple(settings)
        )


def cases() -> list[Case]:
    """Every case, by name."""
    return [Case(path) for path in sorted(HERE.rglob("*.lmm")) if path.parent.name != "parts"]


@cache
def check(case: Case) -> Checked:
    """Check a case; the working folder must be the case's."""
    return Session().check(case.request())


def check_text(case: Case, text: str) -> Checked:
    """Check another text in place of a case."""
    return Session({case.spec: text}).check(case.request())
