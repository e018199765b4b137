"""E00 and E09: the compiler itself, files and options."""

from lmmdsl.diag.model import Diagnostic, Suggestion, diagnostic
from lmmdsl.diag.suggest import join, nearest, respell


def _spellings(name: str, candidates: tuple[str, ...]) -> tuple[str, ...]:
    near = nearest(name, candidates)
    if near:
        return (f"did you mean {join(near)}?",)
    return (f"known here: {join(candidates, 'and')}",) if candidates else ()


@diagnostic("E0001", "internal-bug", "a bug in lmmc")
class InternalBug(Diagnostic):
    """The compiler broke one of its own rules: the compiler is wrong, whatever the spec is.

    Please report it with the spec and the line of the message. `--verify` checks the program after
    every pass and may name the place sooner.

    Wrong:
        (whatever the spec says)
    Right:
        (the same)
    """

    where: str
    problem: str

    def message(self) -> str:
        """Name place and problem."""
        return f"bug in lmmc, in {self.where}: {self.problem}"

    def helps(self) -> tuple[str, ...]:
        """Ask for a report."""
        return ("this is not your mistake; please report it together with the spec",)


@diagnostic("E0901", "file-missing", "a file does not exist")
class FileMissing(Diagnostic):
    """A file named on the command line does not exist or cannot be opened.

    Wrong:
        lmmc check spec/llava.lmm
    Right:
        lmmc check specs/llava.lmm
    """

    path: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"there is no file `{self.path}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near files."""
        near = nearest(self.path, self.candidates)
        return (f"did you mean {join(near)}?",) if near else ()


@diagnostic("E0902", "not-text", "a file is not text")
class NotText(Diagnostic):
    """A spec must be UTF-8 text.

    Wrong:
        lmmc check model.safetensors
    Right:
        lmmc check model.lmm
    """

    path: str

    def message(self) -> str:
        """Name it."""
        return f"`{self.path}` is not UTF-8 text"


@diagnostic("E0903", "cannot-write", "an output cannot be written")
class CannotWrite(Diagnostic):
    """An output file or folder could not be written. What was there before is unchanged.

    Wrong:
        lmmc compile spec.lmm --to torch -o /read/only
    Right:
        lmmc compile spec.lmm --to torch -o out
    """

    path: str
    problem: str

    def message(self) -> str:
        """Name it and the problem."""
        return f"cannot write `{self.path}`: {self.problem}"


@diagnostic("E0904", "unknown-variant", "a variant does not exist")
class UnknownVariant(Diagnostic):
    """The model declares no variant of this name.

    Wrong:
        lmmc check spec.lmm --variant 7B
    Right:
        lmmc check spec.lmm --variant 7b
    """

    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"the model has no variant `{self.name}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near variants."""
        return _spellings(self.name, self.candidates)


@diagnostic("E0905", "bad-override", "an override names or sets nothing")
class BadOverride(Diagnostic):
    """An override names nothing, or gives a value of the wrong kind.

    A line of a `variant`, and `--set path=value`, must name an argument of a part and give a value
    of its kind.

    Wrong:
        lmmc check spec.lmm --set llm.dept=2
    Right:
        lmmc check spec.lmm --set llm.depth=2
    """

    path: str
    problem: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it and the problem."""
        return f"cannot set `{self.path}`: {self.problem}"

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near path."""
        return respell(self.at, self.path, self.candidates) if self.at else ()

    def helps(self) -> tuple[str, ...]:
        """Offer near paths."""
        return () if self.fixes() else _spellings(self.path, self.candidates)


@diagnostic("E0906", "cannot-read", "a file cannot be read")
class CannotRead(Diagnostic):
    """A file is there and cannot be read.

    It is a folder or a device, it is too large, or reading is not allowed.

    Wrong:
        lmmc check specs/
    Right:
        lmmc check specs/mine.lmm
    """

    path: str
    problem: str

    def message(self) -> str:
        """Name it and the problem."""
        return f"cannot read `{self.path}`: {self.problem}"


@diagnostic("E0907", "library-missing", "a library is not installed")
class LibraryMissing(Diagnostic):
    """A command needs a library that comes with an extra of the package.

    Checking and reports need no extra; modules, ONNX packages and pictures do.

    Wrong:
        pip install lmmdsl               # and then: lmmc compile spec.lmm --to onnx -o out
    Right:
        pip install 'lmmdsl[onnx]'
    """

    package: str
    extra: str

    def message(self) -> str:
        """Name it."""
        return f"this needs `{self.package}`, which is not installed"

    def helps(self) -> tuple[str, ...]:
        """Say how to get it."""
        return (f"pip install 'lmmdsl[{self.extra}]'",)
