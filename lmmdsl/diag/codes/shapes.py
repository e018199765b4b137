"""E04: shapes of tensors."""

from collections.abc import Mapping
from dataclasses import field

from lmmdsl.diag.model import Label, Located, Suggestion, diagnostic
from lmmdsl.diag.origins import bound_so_far, comes_from, derivations, refer_instead
from lmmdsl.dims.expr import Dim
from lmmdsl.text.source import Span

_REACH = 64  # how far to look for a divisor


@diagnostic("E0401", "operation-refused", "an operation does not accept its arguments")
class OperationRefused(Located):
    """The shapes of the arguments do not fit the operation.

    Every operation states which axes must agree (`x[*b i], weight[o i], bias[o]? -> y[*b o]`). The
    labels show where each size that clashes was written, the notes how it was computed and which
    axes were known.

    Wrong:
        connector proj: Mlp(in = 1408, out = llm.width)      # the encoder gives 1024
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
    """

    operation: str
    problem: str
    sizes: tuple[Dim, ...] = ()
    bound: Mapping[str, str] = field(default_factory=dict)

    def message(self) -> str:
        """Name the operation and the clash."""
        return f"`{self.operation}`: {self.problem}"

    def here(self) -> str:
        """Name the call where it lies in the library."""
        return f"`{self.operation}` is applied here" if self.lifted else ""

    def labels(self) -> tuple[Label, ...]:
        """Mark where the sizes were written."""
        return comes_from(self.sizes, but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the axes and the arithmetic."""
        return bound_so_far(self.bound) + derivations(self.sizes)


@diagnostic("E0402", "wrong-result", "a method does not return what it promises")
class WrongResult(Located):
    """The type after `->` is a promise, checked against what `return` gives.

    Wrong:
        forward(x: [*b, width]) -> [*b, width] { return linear(x, w) }      # w: [out, width]
    Right:
        forward(x: [*b, width]) -> [*b, out] { return linear(x, w) }
    """

    declared: str
    found: str
    sizes: tuple[Dim, ...] = ()
    promised: Span

    def message(self) -> str:
        """Show both types."""
        return f"the result is {self.found}, but {self.declared} is promised"

    def here(self) -> str:
        """Show what is returned."""
        return f"this is {self.found}"

    def labels(self) -> tuple[Label, ...]:
        """Mark the promise and where the sizes were written."""
        promise = Label(self.promised, f"{self.declared} is promised here")
        return (promise, *comes_from(self.sizes, but=(self.primary, self.promised)))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations(self.sizes)


@diagnostic("E0403", "not-divisible", "a size does not divide exactly")
class NotDivisible(Located):
    """A size must be a multiple of another, and is not.

    An image whose side is no multiple of the patch would lose its last pixels; a width that is no
    multiple of the heads has no head size. Neither is rounded: the rest is an error.

    Wrong:
        encoder vision: ClipVit(image_size = 336, patch_size = 16 + 2)
    Right:
        encoder vision: ClipVit(image_size = 336, patch_size = 14)
    """

    what: str
    number: Dim
    divisor: Dim

    def message(self) -> str:
        """Show both numbers."""
        number = str(self.number)
        what = f"`{self.what}`" if self.what.isidentifier() else self.what
        subject = what if number in what.split() else f"{what} {number}"
        return f"{subject} is not a multiple of {self.divisor}"

    def here(self) -> str:
        """Show the rest."""
        if not self._known:
            return ""
        whole, rest = divmod(self.number.value, self.divisor.value)
        return f"{self.number} = {whole} * {self.divisor} + {rest}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the numbers were written."""
        return comes_from((self.number, self.divisor), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.number, self.divisor))

    def helps(self) -> tuple[str, ...]:
        """Name the nearest numbers that fit."""
        if not self._known:
            return ()
        number, step = self.number.value, self.divisor.value
        below = number // step * step
        multiples = f"{below} or {below + step}" if below else str(step)
        advice = f"the nearest multiples of {step}: {multiples}"
        divisors = [n for n in range(max(1, step - _REACH), step + _REACH) if number % n == 0]
        if not divisors:
            return (advice,)
        nearest = sorted(divisors, key=lambda n: abs(n - step))[:2]
        return (f"{advice}; divisors of {number}: {' or '.join(map(str, sorted(nearest)))}",)

    @property
    def _known(self) -> bool:
        return self.number.is_const and self.divisor.is_const and self.divisor.value > 0


@diagnostic("E0404", "index-out-of-range", "an index lies outside")
class IndexOutOfRange(Located):
    """An index asks for an entry that a list, a shape or the hidden states of a part do not have.

    The hidden states of an encoder of `depth` layers are its input and the output of every layer:
    `depth + 1` entries. `hidden[-1]` is the last output, `hidden[-2]` the one before it.

    Wrong:
        visual = vision.hidden[-30] |> drop_first |> proj      # depth = 24
    Right:
        visual = vision.hidden[-2] |> drop_first |> proj
    """

    what: str
    index: int
    length: int
    why: Dim | None = None

    def message(self) -> str:
        """Show the index and the length."""
        entries = "entry" if self.length == 1 else "entries"
        return f"index {self.index} is outside `{self.what}`, which has {self.length} {entries}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the length was written."""
        return comes_from((self.why,), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show how the length was computed."""
        return derivations((self.why,))

    def helps(self) -> tuple[str, ...]:
        """Name the range."""
        if not self.length:
            return ()
        return (f"indices run from {-self.length} to {self.length - 1}",)


@diagnostic("E0405", "wrong-argument", "an argument has the wrong shape")
class WrongArgument(Located):
    """A part, block or function takes a tensor of a declared shape and gets one of another.

    The axes of a method's inputs are compile-time sizes of the block (`width`) or run-time sizes
    that the first argument fixes (`B`, `N`).

    Wrong:
        visual = vision.hidden[-2] |> proj      # proj: Mlp(in = 1408, ...), vision.width = 1024
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width)
    """

    callee: str
    argument: str
    declared: str
    found: str
    sizes: tuple[Dim, ...] = ()
    bound: Mapping[str, str] = field(default_factory=dict)
    promised: Span | None = None

    def message(self) -> str:
        """Show both shapes."""
        return f"`{self.callee}` takes `{self.argument}: {self.declared}`, but gets {self.found}"

    def here(self) -> str:
        """Show what is passed."""
        return f"this is {self.found}"

    def labels(self) -> tuple[Label, ...]:
        """Mark the declaration and where the sizes were written."""
        sizes = comes_from(self.sizes, but=(self.primary, self.promised))
        if self.promised is None:
            return sizes
        return (Label(self.promised, f"{self.declared} is declared here"), *sizes)

    def notes(self) -> tuple[str, ...]:
        """Show the axes and the arithmetic."""
        return bound_so_far(self.bound) + derivations(self.sizes)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Take the size from where the argument has it."""
        if len(self.sizes) != 2:
            return ()
        return refer_instead(*self.sizes, part=self.callee)


@diagnostic("E0407", "bad-size", "an axis size is negative")
class BadSize(Located):
    """The size of an axis cannot be negative.

    Wrong:
        weight: param [width - 2048, width]      # width = 1024
    Right:
        weight: param [width, width]
    """

    what: str
    size: Dim

    def message(self) -> str:
        """Show the size."""
        return f"{self.what} is {self.size}, but a size cannot be negative"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the number was written."""
        return comes_from((self.size,), but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations((self.size,))
