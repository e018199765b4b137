"""The syntax tree: frozen nodes, a span on every one.

Three families: expressions (compile-time numbers and values alike), items (what stands in a block or model) and
statements (what stands in a method). Nothing here is resolved: a name is a string.
"""

from dataclasses import dataclass

from lmmdsl.text.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Syntax:
    """Base of all nodes."""

    span: Span


# ---- expressions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Syntax):
    """A number, string, `true`, `false` or `none`."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Syntax):
    """A name in scope."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Syntax):
    """`base.name`."""

    base: "Expr"
    name: str
    name_span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument(Syntax):
    """An argument of a call; `name` is None when positional."""

    name: str | None
    value: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallExpr(Syntax):
    """`function(arguments)`."""

    function: "Expr"
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceExpr(Syntax):
    """`start:stop` inside brackets; `*` is a slice without bounds."""

    start: "Expr | None"
    stop: "Expr | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexExpr(Syntax):
    """`base[items]`."""

    base: "Expr"
    items: "tuple[Expr | SliceExpr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Syntax):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Syntax):
    """An operator between two expressions; `|>` and `..` included."""

    operator: str
    left: "Expr"
    right: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Syntax):
    """`if condition then yes else no`."""

    condition: "Expr"
    yes: "Expr"
    no: "Expr"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListExpr(Syntax):
    """`[a, b]` or `(a, b)`."""

    items: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comprehension(Syntax):
    """`[item for name in items if condition]`."""

    item: "Expr"
    name: str
    items: "Expr"
    condition: "Expr | None"


Expr = (
    Literal
    | Name
    | Member
    | CallExpr
    | IndexExpr
    | Unary
    | Binary
    | Choice
    | ListExpr
    | Comprehension
)


# ---- types ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAxis(Syntax):
    """`*name`: any number of leading axes."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeExpr(Syntax):
    """`kind[axes]`, with `?` when the argument may be absent."""

    kind: str | None
    axes: tuple[Expr | RestAxis, ...]
    optional: bool


# ---- statements ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Syntax):
    """`a, b = value`."""

    names: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Return(Syntax):
    """`return value` or `return name = value, ...`."""

    values: tuple[Argument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Syntax):
    """`expose name = value`: a value that callers may read from the call (`vision.hidden[-2]`)."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Require(Syntax):
    """`require condition, "message"`."""

    condition: Expr
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class If(Syntax):
    """Compile-time choice between items or statements."""

    condition: Expr
    yes: "tuple[Item | Statement, ...]"
    no: "tuple[Item | Statement, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class For(Syntax):
    """Compile-time repetition of items or statements."""

    name: str
    items: Expr
    body: "tuple[Item | Statement, ...]"


Statement = Assign | Return | Expose | Require | If | For


# ---- items of blocks and models --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Syntax):
    """A compile-time parameter; required when `default` is None."""

    name: str
    default: Expr | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDecl(Syntax):
    """A tensor argument of a method."""

    name: str
    type: TypeExpr


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDecl(Syntax):
    """A promised result."""

    name: str | None
    type: TypeExpr


@dataclass(frozen=True, slots=True, kw_only=True)
class Let(Syntax):
    """`name = value` outside a method: a compile-time number, or in a model also a value."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class PartDecl(Syntax):
    """`name: Block(...)`, in a model with an optional role before it."""

    name: str
    name_span: Span
    value: Expr
    role: Name | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedDecl(Syntax):
    """`name: param [axes] = init`; `fixed` for stored tensors that never train."""

    name: str
    trained: bool
    axes: tuple[Expr | RestAxis, ...]
    init: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Syntax):
    """A method of a block, a flow of a model (`flow`), or a free function (with compile-time `parameters`)."""

    name: str
    name_span: Span
    inputs: tuple[InputDecl, ...]
    results: tuple[ResultDecl, ...]
    body: tuple[Statement, ...]
    doc: str
    parameters: tuple[Parameter, ...] = ()


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
    body: "tuple[PartDecl | Statement, ...]"
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


Item = (
    Let
    | PartDecl
    | LearnedDecl
    | Method
    | Naming
    | Require
    | If
    | For
    | Section
    | SourceDecl
    | Vocabulary
    | Variant
    | LayoutDecl
    | Visibility
    | Inject
    | StageDecl
)


# ---- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(Syntax):
    """`from module import name as alias`, one per name."""

    module: str
    module_span: Span
    name: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Syntax):
    """A block or (with `is_model`) a model."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    items: tuple[Item, ...]
    doc: str
    is_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Module(Syntax):
    """One file."""

    doc: str
    imports: tuple[Import, ...]
    blocks: tuple[Block, ...]
    functions: tuple[Method, ...]
