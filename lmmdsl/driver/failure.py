"""How errors leave the compiler: one exception that carries the diagnostics."""

from lmmdsl.diag.model import Diagnostic


class CompileFailed(Exception):
    """A spec, or a file that goes with it, has errors.

    The message is the whole report, as `lmmc check` prints it.

    Attributes:
        diagnostics: everything that was reported, in the order of the source.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics

    def __str__(self) -> str:
        from lmmdsl.diag.render import render

        return render(self.diagnostics).rstrip("\n")
