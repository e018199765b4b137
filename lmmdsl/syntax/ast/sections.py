"""Sections of blocks and models: naming, settings, vocabulary, layouts, visibility, injection, stages."""

from dataclasses import dataclass

from lmmdsl.syntax.ast.expressions import Expr, Name, Syntax
from lmmdsl.text.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDecl(Syntax):
    """`name: Block(...)`, in a model with an optional role before it."""

    name: str
    name_span: Span
    value: Expr
    role: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingLine(Syntax):
    """`ours = "theirs" | "other" as scheme`; no `ours` means tensors to ignore."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    scheme: str | None = None
    groups: Expr | None = None
    transposed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming(Syntax):
    """`naming scheme { ... }` of a block, or `weights scheme "repository" { ... }` of a model."""

    scheme: str
    lines: tuple[NamingLine, ...]
    repository: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Syntax):
    """`name = value` of a settings section."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Syntax):
    """A settings section: `preprocess vision { ... }`, `positions { ... }`."""

    kind: str
    name: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDecl(Syntax):
    """`source "..."`: paper and repository."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Syntax):
    """`vocab { ... }`: tokens (their names in angle brackets) and settings."""

    rules: tuple[Setting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(Syntax):
    """`part.parameter = value` of a variant or of `--set`."""

    path: tuple[str, ...]
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Syntax):
    """`variant name { ... }`."""

    name: str
    overrides: tuple[Override, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment(Syntax):
    """Literal text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSegment(Syntax):
    """A named token."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanSegment(Syntax):
    """`<image = visual>`: positions that a value fills."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSegment(Syntax):
    """`{question}` or `{answer: loss, limit = 512}`."""

    name: str
    mark: str | None
    setting: Setting | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatSegment(Syntax):
    """`( ... )*`."""

    segments: "tuple[Segment, ...]"


Segment = TextSegment | TokenSegment | SpanSegment | SlotSegment | RepeatSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutDecl(Syntax):
    """`layout name { segments }`."""

    name: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeesRule(Syntax):
    """`viewer sees [last] seen [causally]`."""

    viewer: str
    seen: str
    last: bool
    causally: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility(Syntax):
    """`sees mode { rules }`."""

    name: str
    rules: tuple[SeesRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Syntax):
    """One step of a selector. `pick` is None, "all", "every", "range" or "index" with its expressions."""

    names: "tuple[str, ...]"
    pick: str | None = None
    bounds: tuple[Expr | None, ...] = ()
    some: "tuple[Selector, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector(Syntax):
    """A path over the instance tree: `llm.layers[*].attn.{q, v}`."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inject(Syntax):
    """`inject [part] verb selector [on <token>] [{ body }] [where ...]`."""

    verb: str
    selector: Selector
    part: Expr | None
    on: str | None
    body: tuple[Syntax, ...]  # parts and statements
    where: SeesRule | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRule(Syntax):
    """`train paths` or `lora(rank = 8) on paths`."""

    kind: str
    paths: tuple[Selector, ...]
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDecl(Syntax):
    """`stage name { rules }`."""

    name: str
    rules: tuple[StageRule, ...]
