"""The class of a whole model: what generation and training need beside its graphs.

A root that has `embed`, `decode` and `logits` gets `forward` from ids and images to scores, and
generates.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lmmdsl.backends.torch.classes import ClassWriter, def_lines
from lmmdsl.backends.torch.constants import constant
from lmmdsl.backends.torch.layout import WIDTH, docstring, quoted, statement
from lmmdsl.backends.torch.methods import shape_text
from lmmdsl.backends.torch.names import attribute
from lmmdsl.backends.torch.sizes import steps
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import walk
from lmmdsl.graph.program import Image, Layout, Program, flat
from lmmdsl.passes.count import new_tokens
from lmmdsl.passes.keep import STEP, lasting
from lmmdsl.types.tensor import DType, TensorType

_FORWARD_DOC = """
Score the next token at every position.

Args:
    input_ids: `[B, T]`{note}.{images}
    attention_mask: `[B, S]`, 0 at padding; it covers the cache too.
    position_ids: `{places}`; if not given, {counted}.{further}
    cache: keys and values of earlier tokens; it takes those of the new ones.
    logits_to_keep: score only so many last positions; 0 scores all.

Returns:
    `{scores}`.
"""


_SEEN = Dim.symbol("S")
_FACTS = """
    def facts(self, ids: Tensor, real: Tensor | None, tokens: int) -> dict[str, Tensor]:
        \"\"\"What `decode` must know of the last tokens of `ids` `[B, S]`; `real` is 0 at padding.\"\"\"
        real = torch.ones_like(ids) if real is None else real  # [B, S]
        {names} = self.arrange(ids, real.bool())
""".strip("\n")

_MAKE_CACHE = (
    "    def make_cache(self, size: int) -> KVCache:",
    '        """Make an empty cache for `size` tokens."""',
    "        return KVCache(self.CACHE_ENTRIES, size)",
)


@dataclass
class RootWriter(ClassWriter):
    """Writes the class of a model."""

    program: Program | None = None

    def bases(self) -> str:
        """The parts of the runtime that the model derives from."""
        bases = []
        if self.generates:
            bases.append(self.generation)
        if self._program.stages:
            adapted = any(stage.lora for stage in self._program.stages)
            bases.append("AdaptedStages" if adapted else "Stages")
        self.helpers.update(bases)
        return ", ".join(bases) or "nn.Module"

    @property
    def generation(self) -> str:
        """The class of the runtime that generates."""
        return "Generation"

    @property
    def generates(self) -> bool:
        """Whether the model has the methods of text generation."""
        methods = self.definition.methods
        return {"embed", "decode", "logits"} <= set(methods) and self.slots.is_cached(
            self.definition, "decode"
        )

    @property
    def _program(self) -> Program:
        assert self.program is not None
        return self.program

    def body(self) -> list[str]:
        """The lines below the class statement: constants, parts, `forward`, components."""
        lines = docstring(self.doc(), indent=4)
        constants = self._constants()
        if constants:
            lines += ["", *constants]
        if self.definition.parts:
            lines += ["", *self.constructor()]
        if self.generates and "forward" not in self.definition.methods:
            lines += ["", *self._forward()]
            lines += self._facts()
        if self._goes_on:
            lines += ["", *_MAKE_CACHE]
        for name in self.definition.methods:
            lines += ["", *self.method(name)]
        return lines

    def _constants(self) -> list[str]:
        lines = []
        if self.generates:
            lines += constant("TOKENS", "dict[str, int]", self._tokens())
            image = next(_images(self._program.layouts), None)
            if image is not None:
                lines += statement("IMAGE_ID = ", str(image.token.id), indent=4)
                if image.tokens.is_const:
                    lines += statement("IMAGE_TOKENS = ", str(image.tokens), "per image", indent=4)
            lines += constant("CONTEXT", "int | None", self._program.context)
            lines += constant("CACHE_ENTRIES", "int", self.slots.count(self.definition))
            if "arrange" in self.definition.methods:
                lines += constant("READS_IDS", "bool", True)
            if self._read:
                lines += constant("FEATURES", "str", self._read)
        if self._goes_on:
            lines += constant("CACHE_ENTRIES", "int", self.slots.count(self.definition))
        if self._program.stages:
            lines += self._stages()
        if lines:
            self.helpers.add("ClassVar")
        return lines

    def _stages(self) -> list[str]:
        stages = {stage.name: self._parts(stage.train) for stage in self._program.stages}
        adapters = {
            stage.name: tuple(
                (part, rule.rank, rule.alpha)
                for rule in stage.lora
                for part in self._parts(rule.paths)
            )
            for stage in self._program.stages
            if stage.lora
        }
        lines = constant("STAGES", "dict[str, tuple[str, ...]]", stages)
        if adapters:
            kind = "dict[str, tuple[tuple[str, int, float], ...]]"
            lines += constant("ADAPTERS", kind, adapters)
        return lines

    def _parts(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Paths as attributes, those that differ only in their layer as one pattern."""
        own = dict.fromkeys(_attributes(path) for path in paths)
        layers: dict[str, set[str]] = {}
        for path, _ in walk(self.definition):
            layers.setdefault(_starred(_attributes(path)), set()).add(_attributes(path))
        whole = {pattern for pattern, every in layers.items() if every <= own.keys()}
        starred = ((_starred(path), path) for path in own)
        return tuple(dict.fromkeys(name if name in whole else path for name, path in starred))

    def _tokens(self) -> dict[str, object]:
        return {name.strip("<>"): number for name, number in self._program.vocab.tokens.items()}

    def summary(self) -> str:
        """What the model is."""
        return self._program.doc.strip().partition("\n\n")[0] or super().summary()

    def prologue(self, name: str) -> tuple[str, ...]:
        """A decoder that reads more than tokens tells its cache what that is."""
        graph = self.definition.methods[name]
        places = lasting(self.definition) if name == STEP else frozenset()
        read = [graph.inputs[place] for place in sorted(places)]
        if not read or not self.slots.is_cached(self.definition, name):
            return ()
        source = next(v for v in read if graph.type_of(v).dtype is DType.FLOAT)
        return ("if cache is not None:", f"    cache.look_at({attribute(graph.name_of(source))})")

    def epilogue(self, name: str) -> tuple[str, ...]:
        """What goes on step by step counts its tokens once all attentions have stored them."""
        graph = self.definition.methods[name]
        found = new_tokens(graph)
        if found is None or not self.slots.is_cached(self.definition, name):
            return ()
        argument, axis = attribute(graph.name_of(found[0])), found[1]
        return ("if cache is not None:", f"    cache.advance({argument}.shape[{axis}])")

    @property
    def _goes_on(self) -> bool:
        """Whether a flow keeps keys and values, and nothing else brings their cache."""
        return not self.generates and any(map(self.epilogue, self.definition.methods))

    def _forward(self) -> list[str]:
        encode = self.definition.methods.get("encode")
        images = [encode.name_of(value) for value in encode.inputs] if encode else []
        optional = [*images, "attention_mask", "position_ids", *self._further]
        kinds = (
            {images[0]: "Tensor | list[Tensor] | None"} if encode and self._any_size(images) else {}
        )
        arguments = [
            "input_ids: Tensor",
            *(f"{name}: {kinds.get(name, 'Tensor | None')} = None" for name in optional),
            "cache: KVCache | None = None",
            "logits_to_keep: int = 0",
        ]
        self.helpers |= {"KVCache", "place_tokens"}
        head = def_lines("forward", arguments, "Tensor")
        return [*head, *docstring(self._forward_doc(images), indent=8), *self._forward_body(images)]

    def _forward_doc(self, images: list[str]) -> str:
        spliced = images and len(self.definition.methods["embed"].inputs) > 1
        note = "; `IMAGE_TOKENS` placeholders `IMAGE_ID` per image" if spliced else ""
        shown = "".join(
            f"\n    {name}: `{self._shape('encode', place)}`, in the order of their placeholders."
            for place, name in enumerate(images)
        )
        further = {
            graph.name_of(value): shape_text(graph.type_of(value))
            for graph in self.definition.methods.values()
            for value in graph.inputs
            if graph.name_of(value) in self._further
        }
        decode, types = self.definition.methods["decode"], {}
        for value in decode.inputs:
            types[decode.name_of(value)] = shape_text(decode.type_of(value)).removeprefix("int ")
        return _FORWARD_DOC.format(
            note=note,
            images=shown,
            further="".join(
                f"\n    {name}: `{shape}`, an input of the model."
                for name, shape in further.items()
            ),
            scores=self._result("logits"),
            places=types.get("position_ids", "[B, T]"),
            counted="they follow from the ids"
            if "arrange" in self.definition.methods
            else "real ones are counted from 0, padding is at its index",
        )

    def _shape(self, method: str, place: int) -> str:
        graph = self.definition.methods[method]
        return shape_text(graph.type_of(graph.inputs[place]))

    def _any_size(self, images: list[str]) -> bool:
        """Whether the images of one call may differ in size, and so come as a list."""
        tokens = self._type("encode").shape[1:-1]
        return len(images) == 1 and not all(isinstance(n, Dim) and n.is_const for n in tokens)

    def _any_axes(self) -> str:
        """The shape of images of any size: arguments of `encode_all`."""
        graph = self.definition.methods["encode"]
        axes = tuple(map(steps, graph.type_of(graph.inputs[0]).shape[1:]))
        return f'axes={axes}, takes="{self._shape("encode", 0)}"'

    def _size_check(self, place: int, name: str) -> list[str]:
        """A check of the images, where the encoder takes one size only."""
        graph = self.definition.methods["encode"]
        shape = graph.type_of(graph.inputs[place]).shape[1:]
        if not all(isinstance(axis, Dim) and axis.is_const for axis in shape):
            return []
        self.helpers.add("require_size")
        return [f"            require_size({name}, ({', '.join(map(str, shape))}))"]

    def _result(self, method: str) -> str:
        graph = self.definition.methods[method]
        return shape_text(graph.type_of(graph.outputs[0][1]))

    def _forward_body(self, images: list[str]) -> list[str]:
        lines = [*self._embed_lines(images), *self._places()]
        logits = "self.logits(hidden[:, -logits_to_keep:])"
        return lines + statement("return ", logits, self._result("logits"), indent=8)

    def _embed_lines(self, images: list[str]) -> list[str]:
        """From ids and images to embeddings."""
        lines: list[str] = []
        graph = self.definition.methods["embed"]
        spliced = len(graph.inputs) > 1
        rows = [graph.name_of(value) for value in graph.inputs[1:]]
        embed = f"self.embed({', '.join(['input_ids', *rows])})"
        if images:
            call = f"self.encode({', '.join(f'{name}.to(self.dtype)' for name in images)})"
            if self._any_size(images):
                self.helpers.add("encode_all")
                call = f"encode_all(self.encode, {images[0]}, self.dtype, {self._any_axes()})"
            lines += ["        features = None", f"        if {images[0]} is not None:"]
            lines += [
                line for place, name in enumerate(images) for line in self._size_check(place, name)
            ]
            lines += statement("features = ", call, self._result("encode"), indent=12)
            if spliced:
                self.helpers.add("require_images")
                lines += ["        else:", "            require_images(input_ids, self.IMAGE_ID)"]
        lines += [line for name in rows[1:] for line in self._further_rows(name)]
        return lines + statement("embeds = ", embed, self._result("embed"), indent=8)

    @property
    def _further(self) -> list[str]:
        """Inputs beside images that visual values need."""
        methods = self.definition.methods
        images = {g.name_of(v) for g in [methods.get("encode")] if g for v in g.inputs}
        graphs = [graph for name, graph in methods.items() if name.startswith("encode_")]
        names = [graph.name_of(value) for graph in graphs for value in graph.inputs]
        return [name for name in dict.fromkeys(names) if name not in images]

    def _further_rows(self, name: str) -> list[str]:
        """A further visual value, where its inputs are given."""
        graph = self.definition.methods[f"encode_{name}"]
        kinds = {graph.name_of(value): graph.type_of(value).dtype for value in graph.inputs}
        own = [item for item in kinds if item in self._further]
        lines = [f"        {name} = None", f"        if {own[0]} is not None:"]
        if len(kinds) > 1:
            self.helpers.add("require_together")
            lines.append(f"            require_together({', '.join(f'{k}={k}' for k in kinds)})")
        given = [f"{k}.to(self.dtype)" if kinds[k] is DType.FLOAT else k for k in kinds]
        call = f"self.encode_{name}({', '.join(given)})"
        lines += statement(f"{name} = ", call, self._result(f"encode_{name}"), indent=12)
        spans = _images(self._program.layouts)
        token = next(span.token.id for span in spans if span.value == name)
        return [*lines, "        else:", f"            require_images(input_ids, {token})"]

    @property
    def _read(self) -> str:
        """The argument of `decode` for features that its layers read, "" where none do."""
        decode = self.definition.methods["decode"]
        floats = [v for v in decode.inputs[1:] if decode.type_of(v).dtype is DType.FLOAT]
        return decode.name_of(floats[0]) if floats else ""

    def _recall(self) -> list[str]:
        """Features for layers that read them, also in the steps after the prompt."""
        if not self._read:
            return []
        self.helpers.add("recall")
        shape = self._type("encode").shape[1:]
        call = f"recall(features, cache, embeds, ({', '.join(map(str, shape))}))"
        return statement("features = ", call, self._result("encode"), indent=8)

    def _matched(self) -> list[str]:
        """A check that there are as many images as places for them in the text."""
        seen = next((item.seen for item in self._program.injections if item.seen), None)
        if not (self._read and seen):
            return []
        self.helpers.add("require_places")
        number = self._program.vocab.tokens[seen]
        return [f"        require_places(ids, {number}, features, cache)"]

    def _type(self, method: str) -> TensorType:
        graph = self.definition.methods[method]
        return graph.type_of(graph.outputs[0][1])

    def _places(self) -> list[str]:
        """Positions, the mask and the other facts, then the decoder."""
        graph = self.definition.methods["decode"]
        names = [graph.name_of(value) for value in graph.inputs[1:]]
        lines: list[str] = []
        if "arrange" in self.definition.methods:
            given = [name for name in names if name != "attention_mask"]
            sequence = "input_ids if cache is None else cache.remember(input_ids)"
            lines += statement("ids = ", sequence, "int [B, S]", indent=8)
            lines += [*self._matched(), *self._recall()]
            facts = "self.facts(ids, attention_mask, input_ids.shape[1])"
            lines += statement("facts = ", facts, indent=8)
            if "position_ids" in given:
                lines += ["        if position_ids is not None:"]
                lines += ['            facts["position_ids"] = position_ids']
            if self._read:
                lines.append(f"        facts[{quoted(self._read)}] = features")
            place = 'place_tokens(input_ids, attention_mask, facts.get("position_ids"), cache)'
            lines += statement("_, mask = ", place, indent=8)
            decode = "self.decode(embeds, attention_mask=mask, cache=cache, **facts)"
        else:
            place = "place_tokens(input_ids, attention_mask, position_ids, cache)"
            lines += self._recall()
            lines += statement("position_ids, mask = ", place, indent=8)
            taken = {"attention_mask": "mask", self._read: "features"}
            given = [taken.get(name, name) for name in names]
            decode = f"self.decode({', '.join(['embeds', *given, 'cache'])})"
        return lines + statement("hidden = ", decode, self._result("decode"), indent=8)

    def _facts(self) -> list[str]:
        """What decoding must know, from the ids of all tokens: the last axis of a fact may be theirs."""
        graph = self.definition.methods.get("arrange")
        if graph is None:
            return []
        types = {name: graph.type_of(value) for name, value in graph.outputs}
        names = ", ".join(types)
        items = [
            f"{quoted(name)}: {name}" + ("[..., -tokens:]" if kind.shape[-1] == _SEEN else "")
            for name, kind in types.items()
        ]
        line = f"        return {{{', '.join(items)}}}"
        broken = ["        return {", *(f"            {item}," for item in items), "        }"]
        body = [line] if len(line) <= WIDTH else broken
        return ["", *_FACTS.format(names=names).splitlines(), *body]


def _attributes(path: str) -> str:
    return ".".join(map(attribute, path.split(".")))


def _starred(path: str) -> str:
    return ".".join("*" if step.isdigit() else step for step in path.split("."))


def _images(layouts: Iterable[Layout]) -> Iterator[Image]:
    segments = (segment for layout in layouts for segment in flat(layout.segments))
    return (segment for segment in segments if isinstance(segment, Image))
