"""Parse tree to syntax tree: one method per grammar rule, nothing decided here."""

import math
from typing import Any

from lark import v_args
from lark.tree import Meta

from lmmdsl.syntax import ast
from lmmdsl.syntax.build_sections import SectionBuilder, docstring, unquote
from lmmdsl.text.source import Span

MAX_DIGITS = 40


@v_args(meta=True)
class Builder(SectionBuilder):
    """Builds the syntax tree of one file; `offset` shifts spans when a part of the file was parsed."""

    # ---- file ----

    def start(self, meta: Meta, children: list[Any]) -> ast.Module:
        flat = [c for child in children for c in (child if isinstance(child, list) else [child])]
        return ast.Module(
            span=Span(self.file, self.offset, len(self.file.text)),
            doc=next((c for c in flat if isinstance(c, str)), ""),
            imports=tuple(c for c in flat if isinstance(c, ast.Import)),
            blocks=tuple(c for c in flat if isinstance(c, ast.Block)),
            functions=tuple(c for c in flat if isinstance(c, ast.Method)),
        )

    def doc(self, meta: Meta, children: list[Any]) -> str:
        return docstring(children[0])

    def import_from(self, meta: Meta, children: list[Any]) -> list[ast.Import]:
        (module, span), *names = children
        return [
            ast.Import(span=at, module=".".join(module), module_span=span, name=name, alias=alias)
            for at, name, alias in names
        ]

    def import_name(self, meta: Meta, children: list[Any]) -> tuple[Span, str, str]:
        return self.at(meta), str(children[0]), str(children[-1])

    def dotted(self, meta: Meta, children: list[Any]) -> tuple[tuple[str, ...], Span]:
        return tuple(map(str, children)), self.at(meta)

    # ---- blocks and models ----

    def block(self, meta: Meta, children: list[Any]) -> ast.Block:
        name, *rest = children
        return ast.Block(
            span=self.at(meta),
            name=str(name),
            name_span=self.at(name),
            parameters=tuple(c for c in rest if isinstance(c, ast.Parameter)),
            items=tuple(c for c in rest if not isinstance(c, ast.Parameter | str)),
            doc=next((c for c in rest if isinstance(c, str)), ""),
        )

    def model(self, meta: Meta, children: list[Any]) -> ast.Block:
        name, *rest = children
        return ast.Block(
            span=self.at(meta),
            name=str(name),
            name_span=self.at(name),
            parameters=(),
            items=tuple(c for c in rest if not isinstance(c, str)),
            doc=next((c for c in rest if isinstance(c, str)), ""),
            is_model=True,
        )

    def parameter(self, meta: Meta, children: list[Any]) -> ast.Parameter:
        return ast.Parameter(span=self.at(meta), name=str(children[0]), default=children[1])

    def require(self, meta: Meta, children: list[Any]) -> ast.Require:
        message = unquote(children[1]) if children[1] else None
        return ast.Require(span=self.at(meta), condition=children[0], message=message)

    def let(self, meta: Meta, children: list[Any]) -> ast.Let:
        return ast.Let(span=self.at(meta), name=str(children[0]), value=children[1])

    def part(self, meta: Meta, children: list[Any]) -> ast.PartDecl:
        name, value = children
        return ast.PartDecl(
            span=self.at(meta), name=str(name), name_span=self.at(name), value=value
        )

    def role(self, meta: Meta, children: list[Any]) -> ast.PartDecl:
        role, name, value, title = children
        return ast.PartDecl(
            span=self.at(meta),
            name=str(name),
            name_span=self.at(name),
            value=value,
            role=ast.Name(span=self.at(role), name=str(role)),
            title=unquote(title) if title else "",
        )

    def learned(self, meta: Meta, children: list[Any]) -> ast.LearnedDecl:
        name, kind, axes, init = children
        return ast.LearnedDecl(
            span=self.at(meta),
            name=str(name),
            trained=kind == "param",
            axes=axes,
            init=str(init) if init else None,
        )

    def block_if(self, meta: Meta, children: list[Any]) -> ast.If:
        condition, *body, no = children
        return ast.If(span=self.at(meta), condition=condition, yes=tuple(body), no=_branch(no))

    def block_else(self, meta: Meta, children: list[Any]) -> tuple[Any, ...]:
        return tuple(children)

    def block_for(self, meta: Meta, children: list[Any]) -> ast.For:
        name, items, *body = children
        return ast.For(span=self.at(meta), name=str(name), items=items, body=tuple(body))

    stmt_if, stmt_else, stmt_for = block_if, block_else, block_for

    def method(self, meta: Meta, children: list[Any]) -> ast.Method:
        name, *rest = children
        kinds = ast.InputDecl | ast.ResultDecl | ast.Parameter | str
        return ast.Method(
            span=self.at(meta),
            name=str(name),
            name_span=self.at(name),
            inputs=tuple(c for c in rest if isinstance(c, ast.InputDecl)),
            results=tuple(c for c in rest if isinstance(c, ast.ResultDecl)),
            body=tuple(c for c in rest if not isinstance(c, kinds)),
            doc=next((c for c in rest if isinstance(c, str)), ""),
            parameters=tuple(c for c in rest if isinstance(c, ast.Parameter)),
        )

    flow = function = method

    def model_input(self, meta: Meta, children: list[Any]) -> ast.InputDecl:
        return ast.InputDecl(span=self.at(meta), name=children[0].name, type=children[0].type)

    def input(self, meta: Meta, children: list[Any]) -> ast.InputDecl:
        return ast.InputDecl(span=self.at(meta), name=str(children[0]), type=children[1])

    def result(self, meta: Meta, children: list[Any]) -> ast.ResultDecl:
        name = str(children[0]) if children[0] else None
        return ast.ResultDecl(span=self.at(meta), name=name, type=children[1])

    def source(self, meta: Meta, children: list[Any]) -> ast.SourceDecl:
        return ast.SourceDecl(span=self.at(meta), text=unquote(children[0]))

    def setting(self, meta: Meta, children: list[Any]) -> ast.Setting:
        return ast.Setting(span=self.at(meta), name=str(children[0]), value=children[1])

    vocab_token = setting

    def vocab(self, meta: Meta, children: list[Any]) -> ast.Vocabulary:
        return ast.Vocabulary(span=self.at(meta), rules=tuple(children))

    def preprocess(self, meta: Meta, children: list[Any]) -> ast.Section:
        name, *settings = children
        return ast.Section(
            span=self.at(meta), kind="preprocess", name=str(name), settings=tuple(settings)
        )

    def positions(self, meta: Meta, children: list[Any]) -> ast.Positions:
        doc, *body = children if children and isinstance(children[0], str) else ["", *children]
        return ast.Positions(span=self.at(meta), doc=doc, body=tuple(body))

    def variant(self, meta: Meta, children: list[Any]) -> ast.Variant:
        name, *rules = children
        return ast.Variant(
            span=self.at(meta),
            name=str(name),
            overrides=tuple(rule for rule in rules if isinstance(rule, ast.Override)),
            titles=tuple(rule for rule in rules if isinstance(rule, ast.Title)),
        )

    def override(self, meta: Meta, children: list[Any]) -> ast.Override:
        return ast.Override(span=self.at(meta), path=children[0][0], value=children[1])

    def title(self, meta: Meta, children: list[Any]) -> ast.Title:
        name, text = children
        return ast.Title(span=self.at(meta), name=str(name), text=unquote(text))

    def stage(self, meta: Meta, children: list[Any]) -> ast.StageDecl:
        name, *rules = children
        return ast.StageDecl(span=self.at(meta), name=str(name), rules=tuple(rules))

    def train(self, meta: Meta, children: list[Any]) -> ast.StageRule:
        return ast.StageRule(span=self.at(meta), kind="train", paths=tuple(children))

    def lora(self, meta: Meta, children: list[Any]) -> ast.StageRule:
        return ast.StageRule(
            span=self.at(meta),
            kind="lora",
            paths=tuple(c for c in children if isinstance(c, ast.Selector)),
            settings=tuple(c for c in children if isinstance(c, ast.Setting)),
        )

    # ---- statements ----

    def assign(self, meta: Meta, children: list[Any]) -> ast.Assign:
        *names, value = children
        targets = tuple(ast.Name(span=self.at(name), name=str(name)) for name in names)
        return ast.Assign(span=self.at(meta), names=targets, value=value)

    def give(self, meta: Meta, children: list[Any]) -> ast.Return:
        return ast.Return(span=self.at(meta), values=tuple(children))

    def expose(self, meta: Meta, children: list[Any]) -> ast.Expose:
        return ast.Expose(span=self.at(meta), name=str(children[0]), value=children[1])

    # ---- types ----

    def type(self, meta: Meta, children: list[Any]) -> ast.TypeExpr:
        kind, axes, optional = children
        return ast.TypeExpr(
            span=self.at(meta),
            kind=str(kind) if kind else None,
            axes=axes,
            optional=bool(optional),
        )

    def shape(self, meta: Meta, children: list[Any]) -> tuple[Any, ...]:
        return tuple(c for c in children if c is not None)

    def rest_axis(self, meta: Meta, children: list[Any]) -> ast.RestAxis:
        return ast.RestAxis(span=self.at(meta), name=str(children[0]))

    # ---- expressions ----

    def name(self, meta: Meta, children: list[Any]) -> ast.Name:
        return ast.Name(span=self.at(meta), name=str(children[0]))

    def number(self, meta: Meta, children: list[Any]) -> ast.Literal:
        text = children[0].replace("_", "")
        whole = text.isdigit()
        if len(text.lstrip("0")) > MAX_DIGITS or (not whole and math.isinf(float(text))):
            raise ValueError("the number is too large")
        value = int(text) if whole else float(text)
        return ast.Literal(span=self.at(meta), value=value)

    def string(self, meta: Meta, children: list[Any]) -> ast.Literal:
        return ast.Literal(span=self.at(meta), value=unquote(children[0]))

    def true(self, meta: Meta, children: list[Any]) -> ast.Literal:
        return ast.Literal(span=self.at(meta), value=True)

    def false(self, meta: Meta, children: list[Any]) -> ast.Literal:
        return ast.Literal(span=self.at(meta), value=False)

    def none(self, meta: Meta, children: list[Any]) -> ast.Literal:
        return ast.Literal(span=self.at(meta), value=None)

    def sequence(self, meta: Meta, children: list[Any]) -> ast.ListExpr:
        return ast.ListExpr(span=self.at(meta), items=tuple(c for c in children if c is not None))

    def comprehension(self, meta: Meta, children: list[Any]) -> ast.Comprehension:
        item, name, items, condition = children
        return ast.Comprehension(
            span=self.at(meta), item=item, name=str(name), items=items, condition=condition
        )

    def choice(self, meta: Meta, children: list[Any]) -> ast.Choice:
        condition, yes, no = children
        return ast.Choice(span=self.at(meta), condition=condition, yes=yes, no=no)

    def binary(self, meta: Meta, children: list[Any]) -> ast.Binary:
        left, operator, right = children
        return ast.Binary(span=self.at(meta), operator=str(operator), left=left, right=right)

    def compare(self, meta: Meta, children: list[Any]) -> str:
        return str(children[0])

    times = compare

    def _fixed(self, meta: Meta, children: list[Any], operator: str) -> ast.Binary:
        left, right = children
        return ast.Binary(span=self.at(meta), operator=operator, left=left, right=right)

    def binary_or(self, meta: Meta, children: list[Any]) -> ast.Binary:
        return self._fixed(meta, children, "or")

    def binary_and(self, meta: Meta, children: list[Any]) -> ast.Binary:
        return self._fixed(meta, children, "and")

    def pipe(self, meta: Meta, children: list[Any]) -> ast.Binary:
        return self._fixed(meta, children, "|>")

    def range(self, meta: Meta, children: list[Any]) -> ast.Binary:
        return self._fixed(meta, children, "..")

    def power(self, meta: Meta, children: list[Any]) -> ast.Binary:
        return self._fixed(meta, children, "**")

    def invert(self, meta: Meta, children: list[Any]) -> ast.Unary:
        return ast.Unary(span=self.at(meta), operator="not", operand=children[0])

    def sign(self, meta: Meta, children: list[Any]) -> ast.Unary:
        return ast.Unary(span=self.at(meta), operator=str(children[0]), operand=children[1])

    def member(self, meta: Meta, children: list[Any]) -> ast.Member:
        base, name = children
        return ast.Member(span=self.at(meta), base=base, name=str(name), name_span=self.at(name))

    def call(self, meta: Meta, children: list[Any]) -> ast.CallExpr:
        function, *arguments = children
        return ast.CallExpr(span=self.at(meta), function=function, arguments=tuple(arguments))

    def argument(self, meta: Meta, children: list[Any]) -> ast.Argument:
        name, value = children
        return ast.Argument(span=self.at(meta), name=str(name) if name else None, value=value)

    returned = argument

    def index(self, meta: Meta, children: list[Any]) -> ast.IndexExpr:
        base, *items = children
        kept = tuple(item for item in items if item is not None)
        return ast.IndexExpr(span=self.at(meta), base=base, items=kept)

    def slice(self, meta: Meta, children: list[Any]) -> ast.SliceExpr:
        start, _, stop = children
        return ast.SliceExpr(span=self.at(meta), start=start, stop=stop)

    def every(self, meta: Meta, children: list[Any]) -> ast.SliceExpr:
        return ast.SliceExpr(span=self.at(meta), start=None, stop=None)


def _branch(no: Any) -> tuple[Any, ...]:
    if no is None:
        return ()
    return no if isinstance(no, tuple) else (no,)
