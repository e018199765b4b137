"""One definition as a class: its parts in `__init__`, its method graphs as methods."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from lmmdsl.backends.torch.families import Families, Family
from lmmdsl.backends.torch.layout import docstring, statement
from lmmdsl.backends.torch.leaves import leaf_module
from lmmdsl.backends.torch.methods import MethodWriter, shape_text
from lmmdsl.backends.torch.names import attribute
from lmmdsl.backends.torch.slots import Slots
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Graph, Instance, Param, Part, Stack
from lmmdsl.graph.names import place

_INITIAL = {
    "normal": "torch.randn({shape}) * 0.02",
    "zeros": "torch.zeros({shape})",
    "ones": "torch.ones({shape})",
}


@dataclass
class Classes:
    """The classes of a file: what they are called and what their constructors take.

    Attributes:
        families: which definitions share a class.
        names: class names by family, and that of the model itself; leaves have none.
        takes: the sizes that the constructor of a class takes, by its name; those of parts are written first.
    """

    families: Families
    names: dict[Family | Definition, str]
    takes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def name(self, definition: Definition) -> str:
        """The class of a definition."""
        known = self.families.stands_for.get(definition)
        return self.names[known[0] if known else definition]

    def sizes(self, definition: Definition) -> dict[str, Dim]:
        """What a constructor call is given for the sizes that the class takes."""
        known = self.families.stands_for.get(definition)
        return (
            {name: known[1][name] for name in self.takes.get(self.name(definition), ())}
            if known
            else {}
        )


@dataclass
class ClassWriter:
    """Writes the class of a definition.

    Attributes:
        definition: the model, or the pattern of a family.
        family: that family, if it is one.
        helpers: gets the names of runtime functions that the class needs.
        sizes: arguments of the constructor that the methods read.
    """

    definition: Definition
    classes: Classes
    slots: Slots
    helpers: set[str]
    reserved: frozenset[str]
    family: Family | None = None
    sizes: set[str] = field(default_factory=set)

    def write(self) -> list[str]:
        """The lines of the whole class."""
        bases = self.bases()
        return [
            f"class {self.classes.names[self.family or self.definition]}({bases}):",
            *self.body(),
        ]

    def bases(self) -> str:
        """What the class derives from."""
        return "nn.Module"

    def body(self) -> list[str]:
        """The lines below the class statement."""
        methods = [line for name in self.definition.methods for line in ("", *self.method(name))]
        lines = docstring(self.doc(), indent=4)
        if self.definition.parts or self.takes_layer(self.definition) or self.sizes:
            lines += ["", *self.constructor()]
        return [*lines, *methods]

    def doc(self) -> str:
        """The docstring: what the block is, and where its text is."""
        return f"{self.summary()}\n\n{place(self.definition.span)}"

    def summary(self) -> str:
        """What the block is: the first paragraph of its own docstring."""
        return self.definition.doc.strip().partition("\n\n")[0] or f"{self.definition.block}."

    # ---- __init__ --------------------------------------------------------------------------------

    def takes_layer(self, definition: Definition) -> bool:
        """Whether instances differ in their cache entries: the constructor then takes the first."""
        return bool(self.slots.count(definition)) and self.slots.start(definition) is None

    def constructor(self) -> list[str]:
        """The lines of `__init__`."""
        takes = self.takes_layer(self.definition)
        arguments = [*(f"{name}: int" for name in self.takes()), *(["layer: int"] if takes else [])]
        lines = def_lines("__init__", arguments, "None")
        lines.append("        super().__init__()")
        lines += [f"        self.{name} = {name}" for name in self.takes() if name in self.sizes]
        if takes and self.slots.own(self.definition):
            lines.append("        self.layer = layer")
        for part in sorted(self.definition.parts.values(), key=lambda part: part.span.start):
            lines += self._part(part)
        return lines

    def takes(self) -> tuple[str, ...]:
        """Sizes that the constructor takes: those that it or a method reads."""
        if self.family is None:
            return ()
        read = {*self.sizes, *self._sizes_of_parts()}
        return tuple(name for name in self.arguments() if name in read)

    def _sizes_of_parts(self) -> Iterator[str]:
        """Names in the shapes of parameters, and in what constructors of parts are given."""
        for part in self.definition.parts.values():
            match part:
                case Param(shape=shape):
                    yield from _names(shape)
                case Instance(definition=inner):
                    yield from self._sizes_given(inner)
                case Stack(definitions=layers):
                    for layer in dict.fromkeys(layers):
                        yield from self._sizes_given(layer)

    def _sizes_given(self, definition: Definition) -> Iterator[str]:
        if leaf_module(definition) is not None:
            return _names(size for _, param in definition.params() for size in param.shape)
        return _names(self.classes.sizes(definition).values())

    def _part(self, part: Part) -> list[str]:
        head = f"self.{attribute(part.name)} = "
        match part:
            case Param():
                return self._param(part)
            case Instance(definition=inner):
                return statement(head, self.make(inner, self._entry(part.name)), indent=8)
            case Stack(definitions=layers):
                return statement(
                    head, f"nn.ModuleList({self._layers(part.name, layers)})", indent=8
                )

    def _param(self, part: Param) -> list[str]:
        shape = ", ".join(map(str, part.shape)) or "()"  # of one number
        start = _INITIAL[part.init].format(shape=shape)
        name = attribute(part.name)
        if part.trained:
            return statement(f"self.{name} = ", f"nn.Parameter({start})", indent=8)
        return statement("", f'self.register_buffer("{name}", {start})', indent=8)

    def _entry(self, name: str, extra: int = 0) -> str:
        """The expression for the first cache entry of a part."""
        offset = self.slots.before(self.definition, name) + extra
        start = self.slots.start(self.definition)
        if start is not None:
            return str(start + offset)
        return f"layer + {offset}" if offset else "layer"

    def make(self, definition: Definition, entry: str) -> str:
        """The constructor call of a part."""
        leaf = leaf_module(definition)
        if leaf is not None:
            return leaf
        sizes = self.classes.sizes(definition)
        named = [f"{name}={size}" if len(sizes) > 2 else str(size) for name, size in sizes.items()]
        if self.takes_layer(definition):
            named.append(f"layer={entry}" if len(sizes) > 2 else entry)
        return f"{self.classes.name(definition)}({', '.join(named)})"

    def _layers(self, name: str, layers: tuple[Definition, ...]) -> str:
        start, steps = self._entry(name), {self.slots.count(layer) for layer in layers}
        calls = [self.make(layer, "{}") for layer in layers]
        if len(set(calls)) == 1 and len(steps) == 1:
            return self._run(layers[0], len(layers), start)
        if len(set(calls)) == 2 and len(steps) == 1 and len(layers) > 3:
            variable = "layer" if start.isdigit() else "index"
            choice = _two_kinds(calls, variable)
            entry = _nth_entry(start, steps.pop(), variable)
            if choice:
                return f"[{choice.replace('{}', entry)} for {variable} in range({len(layers)})]"
        return self._runs(name, layers)

    def _runs(self, name: str, layers: tuple[Definition, ...]) -> str:
        """Layers one by one, but equal ones that follow each other together."""
        items, total = [], 0
        for layer, run in groupby(layers):
            count = len(list(run))
            made = self._run(layer, count, self._entry(name, total))
            items.append(f"*{made}" if count > 1 else self.make(layer, self._entry(name, total)))
            total += count * self.slots.count(layer)
        return f"[{', '.join(items)}]"

    def _run(self, layer: Definition, count: int, start: str) -> str:
        """Equal layers, the first of which has the entry `start`."""
        if not self.takes_layer(layer):
            return f"[{self.make(layer, '0')} for _ in range({count})]"
        each = self.slots.count(layer)
        stop = str(int(start) + each * count) if start.isdigit() else f"{start} + {each * count}"
        bounds = [start, stop, str(each)] if each > 1 else [start, stop] if start != "0" else [stop]
        variable = "layer" if start.isdigit() else "entry"
        return f"[{self.make(layer, variable)} for {variable} in range({', '.join(bounds)})]"

    # ---- methods ---------------------------------------------------------------------------------

    def arguments(self) -> tuple[str, ...]:
        """Names of the sizes that the constructor may take."""
        return tuple(next(iter(self.family.sizes.values()))) if self.family else ()

    def method(self, name: str) -> list[str]:
        """The lines of a method."""
        graph = self.definition.methods[name]
        writer = MethodWriter(
            self.definition,
            name,
            self.slots,
            self.classes.families,
            self.helpers,
            self.reserved,
            self.epilogue(name),
        )
        body = writer.write(self.arguments())
        self.sizes |= writer.own_sizes
        cached = self.slots.is_cached(self.definition, name)
        if cached:
            self.helpers.add("KVCache")
        arguments = self.signature(
            graph, [writer.argument(value) for value in graph.inputs], cached=cached
        )
        outputs = [graph.type_of(value) for _, value in graph.outputs]
        result = "Tensor" if len(outputs) == 1 else f"tuple[{', '.join('Tensor' for _ in outputs)}]"
        head = def_lines(attribute_method(name), arguments, result)
        prologue = [f"        {line}" for line in self.prologue(name)]
        return [*head, *docstring(self.method_doc(graph), indent=8), *prologue, *body]

    def prologue(self, name: str) -> tuple[str, ...]:
        """Statements that a method runs first."""
        return ()

    def epilogue(self, name: str) -> tuple[str, ...]:
        """Statements that a method runs before it returns."""
        return ()

    def signature(self, graph: Graph, names: list[str], *, cached: bool) -> list[str]:
        """Typed arguments; optional ones get their default where all after them have one."""
        kinds = [graph.type_of(value) for value in graph.inputs]
        arguments = []
        for place_, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            default = " = None" if all(k.optional for k in kinds[place_:]) else ""
            arguments.append(
                f"{name}: Tensor | None{default}" if kind.optional else f"{name}: Tensor"
            )
        return [*arguments, "cache: KVCache | None = None"] if cached else arguments

    def method_doc(self, graph: Graph) -> str:
        """The docstring: what the method does, and the shapes that go in and out."""
        inputs = ", ".join(
            f"{graph.name_of(value)} {shape_text(graph.type_of(value))}" for value in graph.inputs
        )
        outputs = ", ".join(shape_text(graph.type_of(value)) for _, value in graph.outputs)
        shapes = f"Shapes: {inputs} -> {outputs}."
        return f"{graph.doc.strip()}\n\n{shapes}" if graph.doc else shapes


def _names(sizes: Iterable[Dim]) -> Iterator[str]:
    return (name for size in sizes for name in size.symbols())


def attribute_method(name: str) -> str:
    """A method's name; `forward` is the one that a call runs."""
    return name if name == "forward" else attribute(name)


def _two_kinds(calls: list[str], variable: str) -> str:
    """The choice between layers of two kinds; "" where no simple condition tells them apart."""
    one, other = dict.fromkeys(calls)
    for kind, rest in ((one, other), (other, one)):
        places = [place for place, call in enumerate(calls) if call == kind]
        condition = _condition(places, len(calls), variable)
        if condition:
            return f"{kind} if {condition} else {rest}"
    return ""


def _condition(places: list[int], count: int, variable: str) -> str:
    """What holds of some places below `count` and of no others: that they are late, or in step; else ""."""
    first = places[0]
    if places == list(range(first, count)):
        return f"{variable} >= {first}"
    step = places[1] - first if len(places) > 1 else count
    if first < step and places == list(range(first, count, step)):
        return f"{variable} % {step} == {first}" if len(places) > 1 else f"{variable} == {first}"
    return ""


def _nth_entry(start: str, each: int, variable: str) -> str:
    """The entry of a layer in a stack of which every layer has `each` entries."""
    steps = variable if each == 1 else f"{each} * {variable}"
    return steps if start == "0" else f"{start} + {steps}"


def def_lines(name: str, arguments: list[str], result: str) -> list[str]:
    """The lines of a `def` statement in a class."""
    line = f"    def {name}({', '.join(['self', *arguments])}) -> {result}:"
    if len(line) <= 100:
        return [line]
    inner = f"        {', '.join(['self', *arguments])}"
    if len(inner) <= 100:
        return [f"    def {name}(", inner, f"    ) -> {result}:"]
    return [
        f"    def {name}(",
        *(f"        {a}," for a in ["self", *arguments]),
        f"    ) -> {result}:",
    ]
