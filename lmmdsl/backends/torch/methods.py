"""One method graph as Python statements.

A value that the spec names, or that is read more than once, is a statement; any other is written
inside the one expression that reads it, as far as the line holds it. Each statement ends with the
shape of its value.
"""

from collections.abc import Collection

from lmmdsl.backends.torch.families import Families
from lmmdsl.backends.torch.layout import WIDTH, atomic, statement, tidy
from lmmdsl.backends.torch.locals import Locals
from lmmdsl.backends.torch.names import attribute, reach, safe
from lmmdsl.backends.torch.sizes import find_axis, size_text, solve
from lmmdsl.backends.torch.slots import Slots
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import (
    Apply,
    Call,
    Constant,
    Definition,
    Input,
    Node,
    Once,
    Read,
    Repeat,
    Route,
    Size,
    Stack,
    Value,
)
from lmmdsl.passes.count import find_part
from lmmdsl.types.tensor import DType, Rest, TensorType

INDENT = 8


def shape_text(kind: TensorType) -> str:
    """A shape as comments and docstrings write it: `[B, 577, 1024]`, `bool [B, T]`."""
    axes = ", ".join("..." if isinstance(axis, Rest) else str(axis) for axis in kind.shape)
    return f"{kind.dtype.value} [{axes}]" if kind.dtype is not DType.FLOAT else f"[{axes}]"


class MethodWriter(Locals):
    """Writes the body of one method."""

    def __init__(
        self,
        definition: Definition,
        method: str,
        slots: Slots,
        families: Families,
        helpers: set[str],
        reserved: frozenset[str],
        epilogue: tuple[str, ...] = (),
    ) -> None:
        """Prepare to write.

        Args:
            definition: the block.
            method: which of its methods.
            slots: the cache entries of the program.
            families: which definitions share a class.
            helpers: gets the names of the runtime functions that the body calls.
            reserved: names that no local variable may hide.
            epilogue: statements between the last value and the return.
        """
        super().__init__(definition.methods[method], reserved, epilogue)
        self.definition = definition
        self.method = method
        self.slots = slots
        self.families = families
        self.helpers = helpers
        self.lines: list[str] = []
        self.sizes: dict[str, str] = {}
        self.own_sizes: set[str] = set()  # attributes of the module that the body reads
        self.position = 0  # the statement that is being written

    # ---- expressions -----------------------------------------------------------------------------

    def expression(self, value: Value) -> str:
        """The expression for a value: its name, or the text of the node that makes it."""
        return self.bound[value] if value in self.bound else self.text(value.node)

    def text(self, index: int) -> str:
        """The expression of a node."""
        node = self.graph.nodes[index]
        match node.payload:
            case Constant(value=number):
                return repr(number)
            case Size(size=size):
                return self.size(size)
            case Read(path=path):
                return reach(path)
            case Apply(op=op):
                arguments = [atomic(argument) for argument in self.arguments(node)]
                return tidy(op.torch(_Emitter(self, index), *arguments))
            case Call(method=method, definition=callee):
                arguments = self.arguments(node, cached=self._hands_on(callee, method))
                short = self.families.is_short(callee, method, len(node.inputs))
                if short and arguments[-1:] == ["cache"]:
                    arguments[-1] = "cache=cache"
                return f"{_bound(node.payload)}({', '.join(arguments)})"
            case Route(one=one, other=other):
                self.helpers.add("routed")
                parts = ", ".join(_bound(call) for call in (one, other))
                return f"routed({', '.join(self.arguments(node))}, {parts})"
            case Once(method=method):
                emitter = _Emitter(self, index)
                compute = f"self.{attribute(method)}"
                arguments = [*emitter.cache(), compute, *self.arguments(node)]
                return f"{emitter.helper('once')}({', '.join(arguments)})"
        raise TypeError(f"{type(node.payload).__name__} is no expression")

    def arguments(self, node: Node, *, cached: bool = False) -> list[str]:
        """Argument expressions of a node."""
        found = ["None" if value is None else self.expression(value) for value in node.inputs]
        if isinstance(node.payload, Apply):
            return found
        while found and found[-1] == "None":
            found.pop()
        whole = len(found) == len(node.inputs)
        return [*found, "cache" if whole else "cache=cache"] if cached else found

    def _hands_on(self, callee: Definition, method: str) -> bool:
        """Whether a method of a part is given the cache that this method has."""
        has_cache = self.slots.is_cached(self.definition, self.method)
        return has_cache and self.slots.is_cached(callee, method)

    def size(self, size: Dim) -> str:
        """The expression for a size."""
        for symbol in sorted(size.symbols()):
            if symbol in self.attributes:
                self.own_sizes.add(symbol)
                self.sizes[symbol] = f"self.{symbol}"
                continue
            if symbol not in self.sizes:
                self.sizes[symbol] = self._symbol(symbol)
            self._need(self.pinned[symbol])
            if "count_seen(" in self.sizes[symbol]:
                self._need(self.graph.inputs[0])
        return size_text(size, self.sizes)

    def _need(self, value: Value) -> None:
        """The statement that is being written names a value: no other may take its name before."""
        self.needed[value] = max(self.position, self.needed.get(value, -1))

    def room(self, size: Dim) -> str:
        """The expression for a size of a tensor: a cache of fixed shape has room for more tokens than were seen."""
        text = self.size(size)
        if "count_seen(" in text:
            self.helpers.add("count_slots")
        return text.replace("count_seen(", "count_slots(")

    def _symbol(self, symbol: str) -> str:
        found = find_axis(self.graph, symbol)
        if found is None:
            raise ValueError(
                f"no value of {self.definition.block}.{self.method} has an axis {symbol}"
            )
        value, axis, size = found
        self.pinned[symbol] = value
        name = self.bound.get(value) or self.graph.name_of(value) or "_"
        text = f"{name}.shape[{axis}]"
        if self.graph.type_of(value).optional and self.slots.is_cached(
            self.definition, self.method
        ):
            self.helpers.add("count_seen")
            tokens = f"{self.argument(self.graph.inputs[0])}.shape[1]"  # as `cache.advance` counts
            text = f"count_seen({name}, {tokens}, cache)"
        return solve(symbol, size, text)

    def anchor(self, kinds: tuple[DType, ...]) -> str:
        """A tensor of one of these kinds that the whole body knows: an argument, else a parameter."""
        given = [(value, self.graph.type_of(value)) for value in self.graph.inputs]
        found = [value for value, kind in given if kind.dtype in kinds and not kind.optional]
        if found:
            self.pinned[f"any {kinds[0]}"] = found[0]
            self._need(found[0])
            return self.argument(found[0])
        return next((reach(path) for path, _ in self.definition.params()), "torch.empty(0)")

    def argument(self, value: Value) -> str:
        """The name of an argument: its own, or near it where Python or another argument has that."""
        names: dict[Value, str] = {}
        for given in self.graph.inputs:
            names[given] = safe(self.graph.name_of(given), {*self.reserved, *names.values()})
        return names[value]

    # ---- statements ------------------------------------------------------------------------------

    def write(self, attributes: Collection[str] = ()) -> list[str]:
        """The lines of the body; `attributes` are symbols of sizes that the module itself knows."""
        self.attributes = attributes
        # Sizes name the values that tell them; a second pass knows all of those from the start.
        for _ in range(4):
            known = dict(self.pinned), dict(self.needed)
            self.forget()
            self.lines, self.sizes = [], {}
            for index in range(len(self.graph.nodes)):
                self.position = index
                self._node(index)
            self.position = len(self.graph.nodes)
            self._return()
            if (self.pinned, self.needed) == known:
                break
        return self.lines

    def _node(self, index: int) -> None:
        node = self.graph.nodes[index]
        if isinstance(node.payload, Input):
            self.bound[Value(index)] = name = self.argument(Value(index))
            self.holder[name] = Value(index)
        elif isinstance(node.payload, Repeat):
            self._repeat(index, node)
        elif not self.is_inlined(index):
            width = sum(len(name) + 2 for name in node.names) - 2 if node.names else 10
            self._shorten(index, room=width + len(" = "))
            text = self.text(index)
            targets = [self._target(Value(index, slot), index) for slot in range(len(node.types))]
            comment = ", ".join(map(shape_text, node.types))
            self.lines += statement(f"{', '.join(targets)} = ", text, comment, indent=INDENT)

    def _target(self, value: Value, position: int) -> str:
        is_read = value in self.results or value in self.readers
        return self.name(value, position) if is_read else "_"

    def _shorten(self, index: int, *, room: int) -> None:
        """Make statements of inner values while the line of a node is too long."""
        comment = len(", ".join(map(shape_text, self.graph.nodes[index].types))) + len("  # ")
        room = WIDTH - INDENT - room - comment
        while len(text := self.text(index)) > room:
            inner = {value: len(self.text(value.node)) for value in self._inner(index)}
            if not inner:
                return
            # The least that makes the line short enough, else as much as there is.
            enough = [v for v, length in inner.items() if len(text) - length + 10 <= room]
            chosen = (
                min(enough, key=inner.__getitem__) if enough else max(inner, key=inner.__getitem__)
            )
            self._extract(chosen, index)

    def _inner(self, index: int) -> list[Value]:
        """Values of steps that are written inside the expression of a node."""
        found: list[Value] = []
        for value in self.graph.nodes[index].inputs:
            if value and value not in self.bound:
                own = isinstance(self.graph.nodes[value.node].payload, Apply | Call)
                found += [*self._inner(value.node), *([value] if own else [])]
        return found

    def _extract(self, value: Value, position: int, wanted: str = "") -> None:
        self._shorten(value.node, room=13)
        text = self.text(value.node)
        name = self.name(
            value, position - 1, wanted
        )  # the statement that reads it reads others too
        comment = shape_text(self.graph.type_of(value))
        self.lines += statement(f"{name} = ", text, comment, indent=INDENT)

    def _return(self) -> None:
        end = len(self.graph.nodes)
        for value in self.results:
            if value not in self.bound and (self.epilogue or len(self.results) > 1):
                self._extract(value, end, "hidden" if self.epilogue else "")
        self.lines += [" " * INDENT + line for line in self.epilogue]
        if len(self.results) > 1:
            self.lines.append(
                f"{' ' * INDENT}return {', '.join(map(self.expression, self.results))}"
            )
            return
        (value,) = self.results
        comment = "" if value in self.bound else shape_text(self.graph.type_of(value))
        if value not in self.bound:
            self._shorten(value.node, room=len("return "))
        self.lines += statement("return ", self.expression(value), comment, indent=INDENT)

    # ---- stacks ----------------------------------------------------------------------------------

    def _repeat(self, index: int, node: Node) -> None:
        payload = node.payload
        assert isinstance(payload, Repeat)
        first = node.inputs[0]
        assert first is not None
        state = self._state(first, index, node)
        layers = dict.fromkeys(payload.definitions)
        cached = any(self._hands_on(layer, payload.method) for layer in layers)
        arguments = self.arguments(node, cached=cached)
        method = "" if payload.method == "forward" else f".{attribute(payload.method)}"
        target = safe("layer", {*self.holder, *self.reserved})
        call = f"{target}{method}({', '.join([state, *arguments[1:]])})"
        # A layer that exposes values returns them behind its result; layers of one stack may
        # differ in that.
        shows = {len(layer.methods[payload.method].outputs) > 1 for layer in payload.definitions}
        comment = shape_text(node.types[0])
        collected = [place for place in payload.states if place != max(payload.states)]
        states = safe("states", {*self.holder, *self.reserved})
        if collected:
            self.lines.append(f"{' ' * INDENT}{states} = []")
        self.lines.append(f"{' ' * INDENT}for {target} in {self._layers(payload)}:")
        if len(shows) > 1:
            self.lines += statement(f"{state} = ", call, "", indent=INDENT + 4)
            call = f"{state}[0] if isinstance({state}, tuple) else {state}"
        elif True in shows:
            call += "[0]"
        self.lines += statement(f"{state} = ", call, comment, indent=INDENT + 4)
        if collected:
            self.holder[states] = Value(index)
            self.lines.append(f"{' ' * (INDENT + 4)}{states}.append({state})")
        for slot, place in enumerate(payload.states):
            if place in collected:
                self.bound[Value(index, slot)] = f"{states}[{place - 1}]"

    def _state(self, first: Value, index: int, node: Node) -> str:
        """The variable that runs through the layers, set to the value that enters them."""
        text = self.expression(first)
        result = Value(index, len(node.types) - 1)
        wanted = self.graph.name_of(result) or self._free(first, index) or "x"
        name = self.name(result, index, wanted, node.inputs[1:])
        if name != text:
            self.lines += statement(
                f"{name} = ", text, shape_text(self.graph.type_of(first)), indent=INDENT
            )
        return name

    def _free(self, value: Value, position: int) -> str:
        return (
            self.bound[value] if value in self.bound and self.last_read(value) <= position else ""
        )

    def _layers(self, payload: Repeat) -> str:
        part = reach(payload.part)
        declared = self.depth(payload.part)
        return part if len(payload.definitions) == declared else f"{part}[:{max(payload.states)}]"

    def depth(self, path: str) -> int:
        """Number of layers that a stack has."""
        stack = find_part(self.definition, path)
        assert isinstance(stack, Stack)
        return len(stack.definitions)


def _bound(call: Call) -> str:
    """A method of a part, not yet called."""
    return reach(call.part) + ("" if call.method == "forward" else f".{attribute(call.method)}")


class _Emitter:
    """What an operation may ask while it renders its expression."""

    def __init__(self, writer: MethodWriter, index: int) -> None:
        node, kind = writer.graph.nodes[index], writer.graph.type_of
        self.writer = writer
        self.index = index
        self.inputs = tuple(None if value is None else kind(value) for value in node.inputs)
        self.outputs = node.types

    def dim(self, size: Dim) -> str:
        return self.writer.room(size)

    def device(self) -> str:
        return f"{self.writer.anchor(tuple(DType))}.device"

    def dtype(self) -> str:
        return f"{self.writer.anchor((DType.FLOAT,))}.dtype"

    def helper(self, name: str) -> str:
        self.writer.helpers.add(name)
        return name

    def cache(self) -> tuple[str, str]:
        writer = self.writer
        own = writer.slots.index(writer.definition, writer.method, self.index)
        start = writer.slots.start(writer.definition)
        if start is not None:
            return "cache", str(start + own)
        return "cache", f"self.layer + {own}" if own else "self.layer"
