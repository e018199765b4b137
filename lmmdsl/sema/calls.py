"""Calls: operations, parts, stacks, methods, free functions and blocks."""

from collections.abc import Sequence
from dataclasses import replace

from lmmdsl.diag.codes.shapes import OperationRefused, WrongArgument
from lmmdsl.diag.codes.types import (
    BadValue,
    MissingArgument,
    NotCallable,
    TooManyArguments,
    UnknownArgument,
    WrongKind,
)
from lmmdsl.diag.suggest import within
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Apply, Call, Definition, Graph, Payload, Repeat, Value
from lmmdsl.ops.call import BadCall, bind
from lmmdsl.ops.signature import Refused
from lmmdsl.sema.context import Context
from lmmdsl.sema.derive import derived
from lmmdsl.sema.unify import Matched, argument_names, match_arguments
from lmmdsl.sema.values import (
    POISON,
    BlockRef,
    Builtin,
    Called,
    FunctionRef,
    MethodRef,
    OpRef,
    ParamRef,
    PartRef,
    Poison,
    Tensor,
    bundle,
    describe,
)
from lmmdsl.sema.weave import outside
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span
from lmmdsl.types.tensor import TensorType

Outputs = tuple[tuple[str, TensorType], ...]


def call(
    function: object,
    positional: list[object],
    named: dict[str, object],
    at: ast.Expr,
    ctx: Context,
) -> object:
    """Call anything that can be called.

    Reports:
        E0305 for what cannot be called; what the call itself reports otherwise.
    """
    function = function.result if isinstance(function, Called) else function
    match function:
        case Poison():
            return POISON
        case OpRef():
            return apply(function.name, positional, named, at.span, ctx)
        case BlockRef():
            return ctx.state.engine.instantiate(function, positional, named, at, ctx)
        case FunctionRef():
            return ctx.state.engine.function(function, positional, named, at, ctx)
        case PartRef():
            return call_part(function, "forward", positional, named, at, ctx)
        case MethodRef():
            return call_part(function.part, function.method, positional, named, at, ctx)
        case Builtin(name="states"):
            return states(positional, named, at, ctx)
    name = at.function if isinstance(at, ast.CallExpr) else at
    ctx.sink.add(NotCallable(at=name.span, what=name.span.text, found=describe(function)))
    return POISON


# ---- operations ------------------------------------------------------------------------------------------------------


def as_tensor_if_param(value: object, ctx: Context, at: Span) -> object:
    """Inside a method, a parameter's name reads the parameter, and a call that exposes values gives its result."""
    if isinstance(value, ParamRef) and ctx.graph is not None:
        return ctx.graph.read(value.path, value.type, at)
    return value.result if isinstance(value, Called) else value


def apply(
    name: str,
    positional: Sequence[object],
    named: dict[str, object],
    at: Span,
    ctx: Context,
) -> object:
    """Apply a primitive operation.

    Reports:
        E0301, E0302, E0309 for arguments that it does not take; E0401 when it refuses the shapes.
    """
    plain = [_operand(as_value(value, ctx, at)) for value in positional]
    options = {key: _operand(as_value(value, ctx, at)) for key, value in named.items()}
    if any(isinstance(value, Poison) for value in (*plain, *options.values())):
        return POISON
    if ctx.graph is None:
        what = f"a call of `{name}`"
        ctx.sink.add(WrongKind(at=at, what=what, wanted="in a method", found="in a declaration"))
        return POISON
    try:
        op, operands = bind(name, plain, options, lambda value: isinstance(value, Tensor))
        tensors = [_tensor(value, ctx, at) for value in operands]
        types = op.infer(tuple(tensor.type if tensor else None for tensor in tensors))
    except BadCall as error:
        _report_bad_call(error, name, at, ctx)
        return POISON
    except Refused as error:
        ctx.sink.add(
            OperationRefused(
                at=at, operation=name, problem=error.problem, sizes=error.sizes, bound=error.bound
            )
        )
        return POISON
    inputs = tuple(tensor.value if tensor else None for tensor in tensors)
    types = tuple(
        derived(kind, [tensor.type for tensor in tensors if tensor], at) for kind in types
    )
    results = ctx.graph.add(Apply(op), inputs, types, at)
    return results[0] if len(results) == 1 else results


def _operand(value: object) -> object:
    return value.name if isinstance(value, OpRef) else value


def _tensor(value: object, ctx: Context, at: Span) -> Tensor | None:
    assert ctx.graph is not None
    match value:
        case None | Tensor():
            return value
        case Dim():
            return ctx.graph.size(value, at)
        case bool() | int() | float():
            return ctx.graph.constant(value, at)
        case _:
            raise Refused(f"a tensor is needed, not {describe(value)}")


def _report_bad_call(error: BadCall, name: str, at: Span, ctx: Context) -> None:
    match error.kind:
        case "unknown":
            place, known = within(at, error.name) or at, error.candidates
            ctx.sink.add(UnknownArgument(at=place, callee=name, name=error.name, candidates=known))
        case "missing":
            ctx.sink.add(MissingArgument(at=at, callee=name, names=(error.name,)))
        case "many":
            ctx.sink.add(TooManyArguments(at=at, callee=name, most=error.most))
        case _:
            ctx.sink.add(
                WrongKind(
                    at=at,
                    what=f"`{error.name}` of `{name}`",
                    wanted=error.wanted,
                    found=error.found,
                )
            )


# ---- parts -----------------------------------------------------------------------------------------------------------


def outputs_of(definition: Definition, method: str) -> Outputs:
    """Names and types of a method's outputs; nothing when the method could not be elaborated."""
    graph = definition.methods.get(method)
    return tuple((name, graph.type_of(value)) for name, value in graph.outputs) if graph else ()


def as_value(value: object, ctx: Context, at: Span) -> object:
    """A value for use as an argument: parameters are read, encoders run on the images."""
    value = as_tensor_if_param(value, ctx, at)
    if isinstance(value, PartRef) and value.role == "encoder" and ctx.encoder:
        return as_tensor_if_param(ctx.encoder(value, ctx, at), ctx, at)
    return value


def call_part(
    part: PartRef,
    method: str,
    positional: list[object],
    named: dict[str, object],
    at: ast.Expr,
    ctx: Context,
) -> object:
    """Call a method of a part, or run through a stack.

    Reports:
        E0301, E0302, E0309, E0405 for arguments that do not fit.
    """
    definition = part.definitions[0]
    graph = definition.methods.get(method)
    if graph is None or ctx.graph is None:
        if method in definition.values or not definition.methods or graph is None:
            ctx.sink.add(
                NotCallable(at=at.span, what=part.path, found=f"a part without `{method}`")
            )
        else:
            ctx.sink.add(NotCallable(at=at.span, what=part.path, found="a part, outside a method"))
        return POISON
    tensors = _arguments(part, graph, positional, named, at, ctx)
    tensors = _handed_down(part, graph, tensors, at, ctx) if tensors else tensors
    if tensors is None:
        return POISON
    if part.stack:
        called = _repeat(part, method, tensors, (len(part.definitions),), at, ctx)
        return called[-1] if called else POISON
    matched = _matched(part.path, graph, tensors, at, ctx)
    if matched is None:
        return POISON
    types = tuple(matched.result(kind) for _, kind in outputs_of(definition, method))
    inputs = tuple(t.value if t else None for t in tensors)
    results = ctx.graph.add(Call(part.path, method, definition), inputs, types, at.span)
    return bundle(graph, results)


def _handed_down(
    part: PartRef, graph: Graph, tensors: list[Tensor | None], at: ast.Expr, ctx: Context
) -> list[Tensor | None] | None:
    """The arguments, those from outside included: the method at hand takes them and hands them down."""
    wanted = outside(graph)
    if not wanted:
        return tensors
    assert ctx.graph is not None
    names = [graph.name_of(value) for value in graph.inputs]
    named = zip(names, tensors, strict=True)
    tensors = [_of_flow(n, at.span, ctx) if n in wanted else tensor for n, tensor in named]
    matched = _matched(part.path, graph, tensors, at, ctx)
    if matched is None:
        return None
    for place, name in enumerate(names):
        if name in wanted and tensors[place] is None:
            kind = replace(matched.result(wanted[name]), optional=wanted[name].optional)
            tensors[place] = ctx.graph.outside(name, kind, at.span)
    return tensors


def _of_flow(name: str, at: Span, ctx: Context) -> Tensor | None:
    """The value of a flow that an injection below asks for by name."""
    here = as_tensor_if_param(ctx.scope.find(name), ctx, at) if ctx.is_flow else None
    return here if isinstance(here, Tensor) else None


def _arguments(
    part: PartRef,
    graph: Graph,
    positional: list[object],
    named: dict[str, object],
    at: ast.Expr,
    ctx: Context,
) -> list[Tensor | None] | None:
    handed = outside(graph)
    every = [graph.name_of(value) for value in graph.inputs]
    names = [name for name in every if name not in handed]
    given: dict[str, object] = dict(zip(names, positional, strict=False))
    if len(positional) > len(names):
        ctx.sink.add(
            TooManyArguments(at=at.span, callee=part.path, most=len(names), declared=graph.span)
        )
        return None
    for name, value in named.items():
        if name not in names or name in given:
            ctx.sink.add(
                UnknownArgument(
                    at=within(at.span, name) or at.span,
                    callee=part.path,
                    name=name,
                    candidates=tuple(names),
                    declared=graph.span,
                )
            )
            return None
        given[name] = value
    tensors: list[Tensor | None] = []
    for name, source in zip(every, graph.inputs, strict=True):
        if name in handed:
            tensors.append(None)
            continue
        value = as_value(given.get(name), ctx, at.span)
        if isinstance(value, Poison):
            return None
        if value is None and not graph.type_of(source).optional:
            ctx.sink.add(
                MissingArgument(at=at.span, callee=part.path, names=(name,), declared=graph.span)
            )
            return None
        if not isinstance(value, Tensor | None):
            ctx.sink.add(
                WrongKind(
                    at=at.span,
                    what=f"`{name}` of `{part.path}`",
                    wanted="a tensor",
                    found=describe(value),
                )
            )
            return None
        tensors.append(value)
    return tensors


def _matched(
    callee: str, graph: Graph, tensors: Sequence[Tensor | None], at: ast.Expr, ctx: Context
) -> Matched | None:
    declared = [graph.type_of(value) for value in graph.inputs]
    matched = match_arguments(declared, [tensor.type if tensor else None for tensor in tensors])
    if matched.wrong is None:
        return matched
    found = tensors[matched.wrong]
    source = graph.inputs[matched.wrong]
    ctx.sink.add(
        WrongArgument(
            at=at.span,
            callee=callee,
            argument=graph.name_of(source),
            declared=str(declared[matched.wrong]),
            found=str(found.type) if found else "nothing",
            sizes=matched.clash,
            bound=matched.bound(),
            promised=graph.nodes[source.node].span,
        )
    )
    return None


# ---- stacks ----------------------------------------------------------------------------------------------------------


def _repeat(
    part: PartRef,
    method: str,
    tensors: list[Tensor | None],
    wanted: tuple[int, ...],
    at: ast.Expr,
    ctx: Context,
) -> tuple[Tensor, ...]:
    assert ctx.graph is not None
    kinds: list[TensorType] = []
    state = tensors[0]
    previous: tuple[Definition, TensorType] | None = None
    if len(taken := argument_names(part.definitions, method)) > 1:
        problem = f"has layers with different arguments: {' and '.join(taken)}"
        ctx.sink.add(BadValue(at=at.span, what=f"the stack `{part.path}`", problem=problem))
        return ()
    for definition in part.definitions:
        assert state is not None
        if previous != (definition, state.type):
            graph = definition.methods.get(method)
            if graph is None:
                return ()
            matched = _matched(part.path, graph, [state, *tensors[1:]], at, ctx)
            if matched is None:
                return ()
            previous = (definition, state.type)
            state = Tensor(state.value, matched.result(graph.type_of(graph.outputs[0][1])))
        kinds.append(state.type)
    payload: Payload = Repeat(part.path, method, part.definitions, wanted)
    inputs: tuple[Value | None, ...] = tuple(t.value if t else None for t in tensors)
    return ctx.graph.add(payload, inputs, tuple(kinds[k - 1] for k in wanted), at.span)


def states(
    positional: list[object], named: dict[str, object], at: ast.Expr, ctx: Context
) -> object:
    """`states(layers, x, ...)`: the input of a stack and the state after each layer, as a list.

    Reports:
        E0303 when the first argument is no stack.
    """
    part = positional[0] if positional else None
    if isinstance(part, Poison):
        return POISON
    if not isinstance(part, PartRef) or not part.stack or ctx.graph is None:
        ctx.sink.add(
            WrongKind(
                at=at.span,
                what="the first argument of `states`",
                wanted="a stack of layers",
                found=describe(part),
            )
        )
        return POISON
    graph = part.definitions[0].methods.get("forward")
    if graph is None:
        return POISON
    tensors = _arguments(part, graph, positional[1:], named, at, ctx)
    tensors = _handed_down(part, graph, tensors, at, ctx) if tensors else tensors
    if tensors is None or tensors[0] is None:
        return POISON
    every = tuple(range(1, len(part.definitions) + 1))
    results = _repeat(part, "forward", tensors, every, at, ctx)
    return (tensors[0], *results) if results else POISON
