"""The syntax tree: frozen nodes, a span on every one.

Three families: expressions (compile-time numbers and values alike), items (what stands in a block or model) and
statements (what stands in a method). Nothing here is resolved: a name is a string.
"""

from lmmdsl.syntax.ast.expressions import (
    Argument as Argument,
)
from lmmdsl.syntax.ast.expressions import (
    Binary as Binary,
)
from lmmdsl.syntax.ast.expressions import (
    CallExpr as CallExpr,
)
from lmmdsl.syntax.ast.expressions import (
    Choice as Choice,
)
from lmmdsl.syntax.ast.expressions import (
    Comprehension as Comprehension,
)
from lmmdsl.syntax.ast.expressions import (
    Expr as Expr,
)
from lmmdsl.syntax.ast.expressions import (
    IndexExpr as IndexExpr,
)
from lmmdsl.syntax.ast.expressions import (
    ListExpr as ListExpr,
)
from lmmdsl.syntax.ast.expressions import (
    Literal as Literal,
)
from lmmdsl.syntax.ast.expressions import (
    Member as Member,
)
from lmmdsl.syntax.ast.expressions import (
    Name as Name,
)
from lmmdsl.syntax.ast.expressions import (
    RestAxis as RestAxis,
)
from lmmdsl.syntax.ast.expressions import (
    SliceExpr as SliceExpr,
)
from lmmdsl.syntax.ast.expressions import (
    Syntax as Syntax,
)
from lmmdsl.syntax.ast.expressions import (
    TypeExpr as TypeExpr,
)
from lmmdsl.syntax.ast.expressions import (
    Unary as Unary,
)
from lmmdsl.syntax.ast.items import (
    Assign as Assign,
)
from lmmdsl.syntax.ast.items import (
    Block as Block,
)
from lmmdsl.syntax.ast.items import (
    Expose as Expose,
)
from lmmdsl.syntax.ast.items import (
    For as For,
)
from lmmdsl.syntax.ast.items import (
    If as If,
)
from lmmdsl.syntax.ast.items import (
    Import as Import,
)
from lmmdsl.syntax.ast.items import (
    InputDecl as InputDecl,
)
from lmmdsl.syntax.ast.items import (
    Item as Item,
)
from lmmdsl.syntax.ast.items import (
    LearnedDecl as LearnedDecl,
)
from lmmdsl.syntax.ast.items import (
    Let as Let,
)
from lmmdsl.syntax.ast.items import (
    Method as Method,
)
from lmmdsl.syntax.ast.items import (
    Module as Module,
)
from lmmdsl.syntax.ast.items import (
    Parameter as Parameter,
)
from lmmdsl.syntax.ast.items import (
    Require as Require,
)
from lmmdsl.syntax.ast.items import (
    ResultDecl as ResultDecl,
)
from lmmdsl.syntax.ast.items import (
    Return as Return,
)
from lmmdsl.syntax.ast.items import (
    Statement as Statement,
)
from lmmdsl.syntax.ast.sections import (
    Inject as Inject,
)
from lmmdsl.syntax.ast.sections import (
    LayoutDecl as LayoutDecl,
)
from lmmdsl.syntax.ast.sections import (
    Naming as Naming,
)
from lmmdsl.syntax.ast.sections import (
    NamingLine as NamingLine,
)
from lmmdsl.syntax.ast.sections import (
    Override as Override,
)
from lmmdsl.syntax.ast.sections import (
    PartDecl as PartDecl,
)
from lmmdsl.syntax.ast.sections import (
    Positions as Positions,
)
from lmmdsl.syntax.ast.sections import (
    RepeatSegment as RepeatSegment,
)
from lmmdsl.syntax.ast.sections import (
    Section as Section,
)
from lmmdsl.syntax.ast.sections import (
    SeesRule as SeesRule,
)
from lmmdsl.syntax.ast.sections import (
    Segment as Segment,
)
from lmmdsl.syntax.ast.sections import (
    Selector as Selector,
)
from lmmdsl.syntax.ast.sections import (
    Setting as Setting,
)
from lmmdsl.syntax.ast.sections import (
    SlotSegment as SlotSegment,
)
from lmmdsl.syntax.ast.sections import (
    SourceDecl as SourceDecl,
)
from lmmdsl.syntax.ast.sections import (
    SpanSegment as SpanSegment,
)
from lmmdsl.syntax.ast.sections import (
    StageDecl as StageDecl,
)
from lmmdsl.syntax.ast.sections import (
    StageRule as StageRule,
)
from lmmdsl.syntax.ast.sections import (
    Step as Step,
)
from lmmdsl.syntax.ast.sections import (
    TextSegment as TextSegment,
)
from lmmdsl.syntax.ast.sections import (
    Title as Title,
)
from lmmdsl.syntax.ast.sections import (
    TokenSegment as TokenSegment,
)
from lmmdsl.syntax.ast.sections import (
    TurnSegment as TurnSegment,
)
from lmmdsl.syntax.ast.sections import (
    Variant as Variant,
)
from lmmdsl.syntax.ast.sections import (
    Visibility as Visibility,
)
from lmmdsl.syntax.ast.sections import (
    Vocabulary as Vocabulary,
)
