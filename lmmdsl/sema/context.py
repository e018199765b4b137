"""What elaboration carries along: the sink, the limits, the instances made so far, and the place at hand."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lmmdsl.diag.codes.names import CircularDefinition
from lmmdsl.diag.codes.types import TooManySteps
from lmmdsl.diag.sink import Sink
from lmmdsl.graph.ir import Definition, Instance, Stack
from lmmdsl.sema.builder import GraphBuilder
from lmmdsl.sema.plan import EMPTY, Plan
from lmmdsl.sema.values import POISON, BlockRef, FunctionRef, Scope
from lmmdsl.syntax import ast
from lmmdsl.text.source import Span

MAX_STEPS = 100_000  # a spec takes a few thousand
MAX_DEPTH = 40
MAX_ITEMS = 4096
MAX_ELEMENTS = 2**40  # of one parameter
MAX_INSTANCES = 100_000


class Engine(Protocol):
    """What calls need of the elaborator above them."""

    def instantiate(
        self,
        block: BlockRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: "Context",
    ) -> object:
        """Bind a block's parameters."""

    def items(self, items: tuple[object, ...], ctx: "Context", body: Any, at: Span) -> None:
        """Make the parts that items declare."""

    def function(
        self,
        function: FunctionRef,
        positional: list[object],
        named: dict[str, object],
        at: ast.Expr,
        ctx: "Context",
    ) -> object:
        """Run a free function in place."""


class Exhausted(Exception):
    """The step budget is spent; elaboration of this file ends."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a definition was made from, to make it again with injections or with other arguments."""

    block: ast.Block
    scope: Scope
    at: Span


@dataclass
class State:
    """Shared by the elaboration of one program."""

    sink: Sink
    engine: Engine
    made: dict[Hashable, object] = field(default_factory=dict)
    sources: dict[Definition, Source] = field(default_factory=dict)
    running: "list[Thunk]" = field(default_factory=list)
    steps: int = 0
    depth: int = 0
    counted: dict[int, int] = field(default_factory=dict)

    def instances(self, definition: Definition) -> int:
        """Number of blocks in the tree of a definition, itself included."""
        known = self.counted.get(id(definition))
        if known is None:
            known = 1 + sum(map(self.instances, inner_definitions(definition)))
            self.counted[id(definition)] = known
        return known

    def step(self, at: Span, work: int = 1) -> None:
        """Count a step of work, such as one per item of a list.

        Reports:
            E0310 once the budget is spent.
        """
        self.steps += work
        if self.steps > MAX_STEPS:
            self.sink.add(TooManySteps(at=at, limit=MAX_STEPS))
            raise Exhausted


def inner_definitions(definition: Definition) -> Iterator[Definition]:
    """Definitions of the parts of a definition, one per instance."""
    for part in definition.parts.values():
        match part:
            case Instance():
                yield part.definition
            case Stack():
                yield from part.definitions


@dataclass(frozen=True)
class Context:
    """The place at hand: names in scope and, inside a method, the graph under construction."""

    state: State
    scope: Scope
    graph: GraphBuilder | None = None
    encoder: "Callable[[object, Context, Span], object] | None" = None
    plan: Plan = EMPTY
    is_flow: bool = (
        False  # in a flow of the model, whose values go down to injections of their name
    )

    def inside(self, scope: Scope) -> "Context":
        """The same place with other names."""
        return replace(self, scope=scope)

    @property
    def sink(self) -> Sink:
        """Where mistakes go."""
        return self.state.sink


@dataclass
class Thunk:
    """A definition that is worked out when it is first needed, so that order does not matter."""

    name: str
    span: Span
    work: Callable[[], object]
    state: State
    value: object = POISON
    stage: str = "new"  # new | running | done

    def force(self, at: Span) -> object:
        """The value.

        Reports:
            E0207 when the definition needs itself.
        """
        if self.stage == "running":
            self.state.sink.add(CircularDefinition(at=at, chain=self._circle()))
            return POISON
        if self.stage == "new":
            self.stage = "running"
            self.state.running.append(self)
            self.value = self.work()
            self.state.running.pop()
            self.stage = "done"
        return self.value

    def _circle(self) -> tuple[str, ...]:
        running = self.state.running
        return (*(thunk.name for thunk in running[running.index(self) :]), self.name)
