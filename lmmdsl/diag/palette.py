"""Colours of messages: none, or ANSI for terminals."""

from dataclasses import dataclass

from lmmdsl.diag.model import Severity

_RESET = "\x1b[0m"
_SEVERITY = {
    Severity.ERROR: "\x1b[1;31m",
    Severity.WARNING: "\x1b[1;33m",
    Severity.INFO: "\x1b[1;36m",
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Plain text; the base of the coloured one."""

    severity: Severity = Severity.ERROR

    def head(self, text: str) -> str:
        """Severity and code."""
        return text

    def strong(self, text: str) -> str:
        """The message."""
        return text

    def gutter(self, text: str) -> str:
        """Line numbers and bars."""
        return text

    def mark(self, text: str, primary: bool) -> str:
        """Underlines and labels; `primary` is a fact of the mark."""
        return text

    def help(self, text: str) -> str:
        """The word before advice."""
        return text


@dataclass(frozen=True, slots=True)
class AnsiPalette(Palette):
    """Colours for a terminal."""

    def head(self, text: str) -> str:
        """Severity and code."""
        return f"{_SEVERITY[self.severity]}{text}{_RESET}"

    def strong(self, text: str) -> str:
        """The message."""
        return f"\x1b[1m{text}{_RESET}"

    def gutter(self, text: str) -> str:
        """Line numbers and bars."""
        return f"\x1b[1;34m{text}{_RESET}"

    def mark(self, text: str, primary: bool) -> str:
        """Underlines and labels."""
        return self.head(text) if primary else self.gutter(text)

    def help(self, text: str) -> str:
        """The word before advice."""
        return f"\x1b[1;32m{text}{_RESET}"
