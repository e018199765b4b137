"""Statements of methods, items of blocks and models, files."""

from lmmdsl.syntax.ast.expressions import (
    Argument,
    Expr,
    Name,
    RestAxis,
    Syntax,
    TypeExpr,
    node,
)
from lmmdsl.syntax.ast.sections import (
    Inject,
    LayoutDecl,
    Naming,
    PartDecl,
    Positions,
    Section,
    SourceDecl,
    StageDecl,
    Variant,
    Visibility,
    Vocabulary,
)
from lmmdsl.text.source import Span


@node
class Assign(Syntax):
    """`a, b = value`."""

    names: tuple[Name, ...]
    value: Expr


@node
class Return(Syntax):
    """`return value` or `return name = value, ...`."""

    values: tuple[Argument, ...]


@node
class Expose(Syntax):
    """`expose name = value`: a value that callers may read from the call (`vision.hidden[-2]`)."""

    name: str
    value: Expr


@node
class Require(Syntax):
    """`require condition, "message"`."""

    condition: Expr
    message: str | None


@node
class If(Syntax):
    """Compile-time choice between items or statements."""

    condition: Expr
    yes: "tuple[Item | Statement, ...]"
    no: "tuple[Item | Statement, ...]"


@node
class For(Syntax):
    """Compile-time repetition of items or statements."""

    name: str
    items: Expr
    body: "tuple[Item | Statement, ...]"


Statement = Assign | Return | Expose | Require | If | For


@node
class Parameter(Syntax):
    """A compile-time parameter; required when `default` is None."""

    name: str
    default: Expr | None


@node
class InputDecl(Syntax):
    """A tensor argument of a method, or of the model itself: what its encoder takes beside pictures."""

    name: str
    type: TypeExpr


@node
class ResultDecl(Syntax):
    """A promised result."""

    name: str | None
    type: TypeExpr


@node
class Let(Syntax):
    """`name = value` outside a method: a compile-time number, or in a model also a value."""

    name: str
    value: Expr


@node
class LearnedDecl(Syntax):
    """`name: param [axes] = init`; `fixed` for stored tensors that never train."""

    name: str
    trained: bool
    axes: tuple[Expr | RestAxis, ...]
    init: str | None


@node
class Method(Syntax):
    """A method of a block, a flow of a model (`flow`), or a free function (with compile-time `parameters`)."""

    name: str
    name_span: Span
    inputs: tuple[InputDecl, ...]
    results: tuple[ResultDecl, ...]
    body: tuple[Statement, ...]
    doc: str
    parameters: tuple[Parameter, ...] = ()


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
    | InputDecl
    | LayoutDecl
    | Visibility
    | Positions
    | Inject
    | StageDecl
)


@node
class Import(Syntax):
    """`from module import name as alias`, one per name."""

    module: str
    module_span: Span
    name: str
    alias: str


@node
class Block(Syntax):
    """A block or (with `is_model`) a model."""

    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    items: tuple[Item, ...]
    doc: str
    is_model: bool = False


@node
class Module(Syntax):
    """One file."""

    doc: str
    imports: tuple[Import, ...]
    blocks: tuple[Block, ...]
    functions: tuple[Method, ...]
