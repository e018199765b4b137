"""Sections of blocks and models: naming, settings, vocabulary, layouts, visibility, injection, stages."""

from lmmdsl.syntax.ast.expressions import Expr, Name, Syntax, node
from lmmdsl.text.source import Span


@node
class PartDecl(Syntax):
    """`name: Block(...)`; in a model with an optional role before it, and then with an optional title behind it."""

    name: str
    name_span: Span
    value: Expr
    role: Name | None = None
    title: str = ""


@node
class NamingLine(Syntax):
    """`ours = "theirs" | "other" as scheme`; no `ours` means tensors to ignore."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    scheme: str | None = None
    groups: Expr | None = None
    transposed: bool = False
    squeezed: bool = False


@node
class Naming(Syntax):
    """`naming scheme { ... }` of a block, or `weights scheme "repository" { ... }` of a model."""

    scheme: str
    lines: tuple[NamingLine, ...]
    repository: str | None = None


@node
class Setting(Syntax):
    """`name = value` of a settings section."""

    name: str
    value: Expr


@node
class Section(Syntax):
    """A settings section: `preprocess vision { ... }`."""

    kind: str
    name: str
    settings: tuple[Setting, ...]


@node
class SourceDecl(Syntax):
    """`source "..."`: paper and repository."""

    text: str


@node
class Vocabulary(Syntax):
    """`vocab { ... }`: tokens (their names in angle brackets) and settings."""

    rules: tuple[Setting, ...]


@node
class Override(Syntax):
    """`part.parameter = value` of a variant or of `--set`."""

    path: tuple[str, ...]
    value: Expr


@node
class Title(Syntax):
    """`part as "title"` of a variant."""

    name: str
    text: str


@node
class Variant(Syntax):
    """`variant name { ... }`."""

    name: str
    overrides: tuple[Override, ...]
    titles: tuple[Title, ...] = ()


@node
class TextSegment(Syntax):
    """Literal text."""

    text: str


@node
class TokenSegment(Syntax):
    """A named token."""

    name: str


@node
class SpanSegment(Syntax):
    """`<image = visual>`: positions that a value fills; `, rows <newline>` ends every row of a grid with a token."""

    name: str
    value: Expr
    row_end: str | None = None


@node
class SlotSegment(Syntax):
    """`{question}` or `{answer: loss, limit = 512}`."""

    name: str
    mark: str | None
    setting: Setting | None


@node
class RepeatSegment(Syntax):
    """`( ... )*`."""

    segments: "tuple[Segment, ...]"


@node
class TurnSegment(Syntax):
    """`->`: here the prompt ends that an encoder reads, and the decoder's answer begins."""


Segment = TextSegment | TokenSegment | SpanSegment | SlotSegment | RepeatSegment | TurnSegment


@node
class LayoutDecl(Syntax):
    """`layout name { segments }`."""

    name: str
    segments: tuple[Segment, ...]


@node
class Positions(Syntax):
    """`positions { statements }`: the positions of all tokens."""

    doc: str
    body: tuple[Syntax, ...]  # statements


@node
class SeesRule(Syntax):
    """`viewer sees [last] seen [causally]`; both are written `<token>`, `{slot}`, `word` or `before <token>`."""

    viewer: str
    seen: str
    last: bool
    causally: bool


@node
class Visibility(Syntax):
    """`sees mode { rules }`."""

    name: str
    rules: tuple[SeesRule, ...]


@node
class Step(Syntax):
    """One step of a selector. `pick` is None, "all", "every", "range" or "index" with its expressions."""

    names: "tuple[str, ...]"
    pick: str | None = None
    bounds: tuple[Expr | None, ...] = ()
    some: "tuple[Selector, ...]" = ()


@node
class Selector(Syntax):
    """A path over the instance tree: `llm.layers[*].attn.{q, v}`."""

    steps: tuple[Step, ...]


@node
class Inject(Syntax):
    """`inject [part] verb selector [on <token>[a:b]] [(arguments)] [{ body }] [where ...]`."""

    verb: str
    selector: Selector
    part: Expr | None
    on: str | None
    on_rows: tuple[Expr | None, Expr | None] | None
    body: tuple[Syntax, ...]  # parts, naming and statements
    where: SeesRule | None
    takes: tuple[Syntax, ...] = ()  # `InputDecl`s that flows hand down


@node
class StageRule(Syntax):
    """`train paths` or `lora(rank = 8) on paths`."""

    kind: str
    paths: tuple[Selector, ...]
    settings: tuple[Setting, ...] = ()


@node
class StageDecl(Syntax):
    """`stage name { rules }`."""

    name: str
    rules: tuple[StageRule, ...]
