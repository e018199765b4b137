"""E03: arguments, kinds of values, requirements and limits of elaboration."""

from lmmdsl.diag.model import Label, Located, Suggestion, diagnostic
from lmmdsl.diag.origins import arithmetic, comes_from, derivations, told
from lmmdsl.diag.suggest import did_you_mean, join, respell
from lmmdsl.dims.expr import Dim
from lmmdsl.text.source import Span


def _declared(callee: str, span: Span | None) -> tuple[Label, ...]:
    return (Label(span, f"`{callee}` is declared here"),) if span else ()


@diagnostic("E0301", "unknown-argument", "an argument has no parameter")
class UnknownArgument(Located):
    """An argument is named that the block, function or operation does not take.

    A misspelt setting is never ignored: with a default in its place, the model would be built with
    another number than the one on the page.

    Wrong:
        encoder vision: ClipVit(width = 1024, hidden_layers = 24)
    Right:
        encoder vision: ClipVit(width = 1024, depth = 24)
    """

    callee: str
    name: str
    candidates: tuple[str, ...] = ()
    declared: Span | None = None

    def message(self) -> str:
        """Name both."""
        return f"`{self.callee}` has no parameter `{self.name}`"

    def labels(self) -> tuple[Label, ...]:
        """Mark the declaration."""
        return _declared(self.callee, self.declared)

    def helps(self) -> tuple[str, ...]:
        """Offer near parameters."""
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near parameter."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0302", "missing-argument", "a required argument is not given")
class MissingArgument(Located):
    """A parameter without a default gets no value.

    Wrong:
        connector proj: Mlp(in = vision.width, act = gelu)
    Right:
        connector proj: Mlp(in = vision.width, out = llm.width, act = gelu)
    """

    callee: str
    names: tuple[str, ...]
    declared: Span | None = None

    def message(self) -> str:
        """Name all at once."""
        return f"`{self.callee}` needs {join(self.names, 'and')}"

    def labels(self) -> tuple[Label, ...]:
        """Mark the declaration."""
        return _declared(self.callee, self.declared)

    def helps(self) -> tuple[str, ...]:
        """Show the argument."""
        return (f"add {', '.join(f'`{name} = ...`' for name in self.names[:8])}",)


@diagnostic("E0303", "wrong-kind", "a value is of the wrong kind")
class WrongKind(Located):
    """A value of one kind stands where another kind is wanted.

    Kinds are whole numbers, numbers with a fraction, strings, lists, tensors, parts, blocks and
    operations. A stack takes a whole number and a block; an axis takes a size.

    Wrong:
        layers: 24.5 * Layer(width)
    Right:
        layers: 24 * Layer(width)
    """

    what: str
    wanted: str
    found: str

    def message(self) -> str:
        """Say both kinds."""
        return f"{self.what} must be {self.wanted}, not {self.found}"


@diagnostic("E0304", "require-failed", "a requirement of the block does not hold")
class RequireFailed(Located):
    """A `require` line of a block is false for the values it got.

    The block states what it needs; the message shows the values and where each was written.

    Wrong:
        attn: SelfAttention(width = 1024, heads = 15)
    Right:
        attn: SelfAttention(width = 1024, heads = 16)
    """

    requirement: str
    reason: str = ""
    declared: Span
    values: tuple[tuple[str, Dim | str], ...] = ()

    def message(self) -> str:
        """Say the block's own words, else the condition, and the values."""
        values = ", ".join(f"{name} = {value}" for name, value in self.values)
        return (self.reason or f"`{self.requirement}` must hold") + (
            f": {values}" if values else ""
        )

    def labels(self) -> tuple[Label, ...]:
        """Mark the requirement and where the numbers were written."""
        sizes = (value for _, value in self.values if isinstance(value, Dim))
        required = () if self.declared == self.at else (Label(self.declared, "required here"),)
        return required + comes_from(sizes, but=(self.primary, self.declared))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic of the values that have some."""
        sizes = ((name, arithmetic(v)) for name, v in self.values if isinstance(v, Dim))
        return tuple(told(name, steps) for name, steps in sizes if steps)[:2]


@diagnostic("E0305", "not-callable", "something is called that cannot be")
class NotCallable(Located):
    """Only blocks, parts, functions and operations can be called.

    Wrong:
        y = width(x)
    Right:
        y = norm(x)
    """

    what: str
    found: str

    def message(self) -> str:
        """Name it and its kind."""
        return f"`{self.what}` is {self.found} and cannot be called"


@diagnostic("E0306", "too-deep", "blocks are nested too deeply")
class TooDeep(Located):
    """A block holds itself, directly or through others, or blocks are nested beyond the limit.

    A block may not hold itself: the tree of parts is finite. Write repetition as a stack.

    Wrong:
        block Layer(width) { next: Layer(width) }
    Right:
        block Tower(width, depth) { layers: depth * Layer(width) }
    """

    limit: int
    chain: tuple[str, ...] = ()

    def message(self) -> str:
        """Name the block that holds itself, else the limit."""
        if len(set(self.chain)) < len(self.chain):
            return f"`{self.chain[-1]}` holds itself"
        return f"more than {self.limit} blocks inside each other"

    def notes(self) -> tuple[str, ...]:
        """Show the innermost levels."""
        if not self.chain:
            return ()
        shown = self.chain if len(self.chain) <= 6 else (*self.chain[:3], "...", *self.chain[-2:])
        return (f"the way there: {' -> '.join(shown)}",)

    def helps(self) -> tuple[str, ...]:
        """Point at stacks."""
        return ("a block cannot hold itself; write repetition as a stack: `depth * Layer(...)`",)


@diagnostic("E0307", "bad-value", "a value is out of bounds")
class BadValue(Located):
    """A value has the right kind but makes no sense where it stands.

    Wrong:
        layers: 0 * Layer(width)
    Right:
        layers: 1 * Layer(width)
    """

    what: str
    problem: str
    sizes: tuple[Dim, ...] = ()

    def message(self) -> str:
        """Name it and the problem."""
        return f"{self.what} {self.problem}"

    def labels(self) -> tuple[Label, ...]:
        """Mark where the numbers were written."""
        return comes_from(self.sizes, but=(self.primary,))

    def notes(self) -> tuple[str, ...]:
        """Show the arithmetic."""
        return derivations(self.sizes)


@diagnostic("E0308", "unknown-setting", "a section has no such setting")
class UnknownSetting(Located):
    """A section is given a key that it does not know.

    Sections (`preprocess`, `vocab`, `lora(...)`) know a fixed list of keys. Nothing is
    silently ignored: a key that nobody reads is an error.

    Wrong:
        preprocess vision { resise = 336 }
    Right:
        preprocess vision { resize = 336 }
    """

    section: str
    name: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name both."""
        section = self.section if " " in self.section else f"`{self.section}`"
        return f"{section} has no setting `{self.name}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near settings."""
        return did_you_mean(self.at, self.name, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near setting."""
        return respell(self.at, self.name, self.candidates)


@diagnostic("E0309", "too-many-arguments", "a call has more arguments than parameters")
class TooManyArguments(Located):
    """More values are given by position than there are parameters.

    Wrong:
        norm: LayerNorm(width, 1e-5, true, 2)
    Right:
        norm: LayerNorm(width, 1e-5)
    """

    callee: str
    most: int
    declared: Span | None = None

    def message(self) -> str:
        """Name the limit."""
        plural = "" if self.most == 1 else "s"
        return f"`{self.callee}` takes at most {self.most} argument{plural} by position"

    def here(self) -> str:
        """Mark the first that is too many."""
        return "one too many"

    def labels(self) -> tuple[Label, ...]:
        """Mark the declaration."""
        return _declared(self.callee, self.declared)


@diagnostic("E0310", "too-many-steps", "the spec takes too long to expand")
class TooManySteps(Located):
    """Compile-time loops and nested blocks take more steps than the compiler grants one spec.

    An 80-layer model takes some thousand steps, because equal layers are elaborated once. A spec
    that runs into the limit unrolls something that should be a stack.

    Wrong:
        for i in 0..1000000 { x = layer(x) }
    Right:
        layers: 1000 * Layer(width)
    """

    limit: int

    def message(self) -> str:
        """Name the limit."""
        return f"expanding this takes more than {self.limit} steps"

    def helps(self) -> tuple[str, ...]:
        """Point at stacks."""
        return ("write repeated equal layers as a stack: `depth * Layer(...)`",)


@diagnostic("E0311", "argument-twice", "an argument is given twice")
class ArgumentTwice(Located):
    """The same parameter gets two values in one call.

    Wrong:
        Mlp(1024, in = 1408, out = 4096)
    Right:
        Mlp(in = 1408, out = 4096)
    """

    callee: str
    name: str
    first: Span

    def message(self) -> str:
        """Name it."""
        return f"`{self.name}` of `{self.callee}` gets two values"

    def here(self) -> str:
        """Mark the second."""
        return "second value"

    def labels(self) -> tuple[Label, ...]:
        """Mark the first."""
        return (Label(self.first, "first value"),)


@diagnostic("E0312", "no-result", "a method returns nothing")
class NoResult(Located):
    """A method promises a result, but a path through it ends without `return`.

    Wrong:
        forward(x: [*b, width]) -> [*b, width] { y = norm(x) }
    Right:
        forward(x: [*b, width]) -> [*b, width] { return norm(x) }
    """

    method: str

    def message(self) -> str:
        """Name it."""
        return f"`{self.method}` ends without `return`"
