"""Runtime facts of a package: what a program must know to run its graphs.

Takes the program and its components; gives the JSON of `lmmdsl_package.json` and, where its fixed
contract can hold the model, of ONNX Runtime GenAI's `genai_config.json`.
"""

from collections.abc import Sequence
from typing import Any

from onnx import ValueInfoProto, helper

from lmmdsl.backends.onnx.component import Component, reads_features
from lmmdsl.dims.expr import Dim, Symbol
from lmmdsl.graph.ir import Instance
from lmmdsl.graph.program import Group, Image, Layout, Program, Segment, Slot, Text, Token, Turn
from lmmdsl.types.tensor import Axis

FORMAT = 1
GENAI_DECODER = "decoder_model_genai"
DECODER = "decoder_model_merged"
MEMORY = "decoder_memory"


def package_facts(
    program: Program,
    components: Sequence[Component],
    *,
    profile: str,
    dtype: str,
    weights: Sequence[str] = (),
) -> dict[str, Any]:
    """Contents of `lmmdsl_package.json`.

    Where there is a component `arrange`, run it at every step on the ids and the mask of all tokens so far; its
    results are inputs of the decoder. Those that `per_row` names go in as they are, of the others the last entries
    of the last axis, one per new token. Where there is a component `decoder_memory`, run it once per prompt; its
    results are inputs of the decoder at every step. `weights` are the files that hold the weights, `images` the ids
    that stand for images, and where those enter: `text` (rows take the places of the ids) or `layers` (which read
    them).
    """
    slots = next((c.slots for c in components if c.name == DECODER), ())
    return {
        "format": FORMAT,
        "model": program.name,
        "variant": program.variant,
        "source": program.source,
        "spec_hash": program.spec_hash,
        "profile": profile,
        "dtype": dtype,
        "components": {c.name: _component(c) for c in components},
        "width": _width(components),
        "vocab": program.vocab.rows,
        "context": program.context,
        "tokens": dict(program.vocab.tokens),
        "bos_id": token_id(program, "bos"),
        "eos_id": token_id(program, "eos"),
        "pad_id": token_id(program, "pad"),
        "start_id": token_id(program, "start"),
        "images": [*_spliced(program), *_read_by_layers(program)],
        "pixels": _pixels(program),
        "weights": list(weights),
        "per_row": _per_row(components),
        "blank_image": _blank_image(program),
        "cache": [{"heads": s.heads, "key": s.key, "value": s.value} for s in slots],
        "layouts": layout_facts(program.layouts),
        "preprocess": {name: _plain(facts) for name, facts in program.preprocess.items()},
    }


def _blank_image(program: Program) -> list[int] | None:
    """Tokens and width of an image's features, where the decoder reads them; None elsewhere."""
    encode, decode = (program.root.methods.get(name) for name in ("encode", "decode"))
    if encode is None or decode is None:
        return None
    read = reads_features(decode) is not None
    shape = encode.type_of(encode.outputs[0][1]).shape[1:]
    return [size.value for size in shape if isinstance(size, Dim)] if read else None


def _spliced(program: Program) -> list[dict[str, Any]]:
    """Images whose rows take the places of their placeholders; `features` are the axes of an image's rows."""
    embed = program.root.methods.get("embed")
    names = [embed.name_of(value) for value in embed.inputs[1:]] if embed else []
    spans = [image for image in _images(program) if names]
    main = [image for image in spans if image.value not in names]
    others = [image for image in spans if image.value in names]
    return [
        *(_entering(program, image, "encode", "image_features") for image in main),
        *(_entering(program, image, f"encode_{image.value}", image.value) for image in others),
    ]


def _entering(program: Program, image: Image, method: str, called: str) -> dict[str, Any]:
    return _image(image) | {
        "enters": "text",
        "input": called,
        "features": _row_axes(program, method),
    }


def _row_axes(program: Program, method: str) -> list[int] | None:
    """Sizes between the number of images and the width of what a method gives; None where images decide."""
    graph = program.root.methods[method]
    axes = graph.type_of(graph.outputs[0][1]).shape[1:-1]
    sizes = [axis.value for axis in axes if isinstance(axis, Dim) and axis.is_const]
    return sizes if len(sizes) == len(axes) else None


def _read_by_layers(program: Program) -> list[dict[str, Any]]:
    """The id that marks the place of an image which layers read."""
    seen = next((item.seen for item in program.injections if item.seen), None)
    if seen is None or _blank_image(program) is None:
        return []
    facts = {"placeholder": seen, "id": program.vocab.tokens[seen], "tokens": 1}
    return [facts | {"enters": "layers", "features": _row_axes(program, "encode")}]


def _pixels(program: Program) -> dict[str, Any] | None:
    """What images the encoder takes: of each axis its least size, and the step of larger ones or 0."""
    graph = program.root.methods.get("encode")
    if graph is None:
        return None
    kind = graph.type_of(graph.inputs[0])
    return {
        "takes": str(kind),
        "axes": [_steps(axis) for axis in kind.shape[1:]],
        "any_size": _row_axes(program, "encode") is None,
    }


def _steps(axis: Axis) -> tuple[int, int]:
    match axis:
        case Dim(terms=(((Symbol(),), step),)):
            return step, step
        case Dim() if axis.is_const:
            return axis.value, 0
        case _:
            return 1, 1


def _per_row(components: Sequence[Component]) -> list[str]:
    """Results of `arrange` that tell of a row of the batch; the others tell of every token, in their last axis."""
    outputs = (o for c in components if c.name == "arrange" for o in c.model.graph.output)
    return [o.name for o in outputs if len(o.type.tensor_type.shape.dim) == 1]


def token_id(program: Program, name: str) -> int | None:
    """Id of a token by its usual name, None where the vocabulary does not name it."""
    tokens = program.vocab.tokens
    return tokens.get(f"<{name}>", tokens.get(name))


def layout_facts(layouts: Sequence[Layout]) -> dict[str, list[dict[str, Any]]]:
    """Token layouts as plain lists of segments."""
    return {layout.name: [_segment(segment) for segment in layout.segments] for layout in layouts}


def _segment(segment: Segment) -> dict[str, Any]:
    match segment:
        case Text(text):
            return {"text": text}
        case Token(name, number):
            return {"token": name, "id": number}
        case Image():
            return {"image": segment.value, **_image(segment)}
        case Slot(name, loss, limit):
            return {"slot": name, "loss": loss, "limit": limit}
        case Turn():
            return {"answer": True}
        case Group(segments):
            return {"repeat": [_segment(inner) for inner in segments]}


def _image(image: Image) -> dict[str, Any]:
    facts = {
        "placeholder": image.token.name,
        "id": image.token.id,
        "tokens": _plain(image.tokens),
    }
    if image.row_end is not None:
        facts |= {"rows": _plain(image.grid), "row_end": image.row_end.id}
    return facts


def _images(program: Program) -> list[Image]:
    found = [image for layout in program.layouts for image in _inside(layout.segments)]
    return list({image.token.name: image for image in found}.values())


def _inside(segments: Sequence[Segment]) -> list[Image]:
    found: list[Image] = []
    for segment in segments:
        if isinstance(segment, Image):
            found.append(segment)
        elif isinstance(segment, Group):
            found.extend(_inside(segment.segments))
    return found


def _component(component: Component) -> dict[str, Any]:
    graph = component.model.graph
    return {
        "file": f"{component.name}.onnx",
        "inputs": {item.name: _type(item) for item in graph.input},
        "outputs": {item.name: _type(item) for item in graph.output},
    }


def _type(value: ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    axes = ", ".join(str(axis.dim_param or axis.dim_value) for axis in tensor.shape.dim)
    return f"{kind}[{axes}]"


def _width(components: Sequence[Component]) -> int | None:
    inputs = (item for c in components for item in c.model.graph.input)
    found = next((item for item in inputs if item.name == "inputs_embeds"), None)
    return found.type.tensor_type.shape.dim[-1].dim_value if found else None


def _plain(value: Any) -> Any:
    """Settings as JSON: sizes become numbers, words stay."""
    match value:
        case Dim():
            return value.value if value.is_const else str(value)
        case bool() | int() | float() | str() | None:
            return value
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def genai_config(program: Program, components: Sequence[Component]) -> dict[str, Any] | None:
    """Contents of `genai_config.json`, or None where GenAI's contract does not fit.

    It fits one encoder, one embedding graph and one decoder with equal cache entries and running
    positions. The type name is one that lets the caller bring `input_ids`, `pixel_values` and
    `num_image_tokens` itself: GenAI has no open type for other models. Its decoder is a second graph
    over the same weights.
    """
    by_name = {component.name: component for component in components}
    decoder = by_name.get(DECODER)
    own = {"arrange", "encoder_model", MEMORY} & by_name.keys()  # GenAI knows nothing of these
    if not decoder or own or "embed_tokens" not in by_name:
        return None
    if len(set(decoder.slots)) != 1:
        return None
    if decoder.slots[0].key != decoder.slots[0].value or "vision_encoder" not in by_name:
        return None
    model = {
        "type": "phi3v",
        "bos_token_id": token_id(program, "bos") or 0,
        "eos_token_id": token_id(program, "eos") or 0,
        "pad_token_id": token_id(program, "pad") or 0,
        "context_length": program.context,
        "vocab_size": program.vocab.rows,
        "vision": _genai_part("vision_encoder", ["pixel_values"], ["image_features"]),
        "embedding": _genai_part(
            "embed_tokens", ["input_ids", "image_features"], ["inputs_embeds"]
        ),
        "decoder": _genai_decoder(decoder, _query_heads(program, decoder.slots[0].heads)),
    }
    return {"model": model, "search": _genai_search(program)}


def _genai_part(name: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    return {
        "filename": f"{name}.onnx",
        "inputs": {item: item for item in inputs},
        "outputs": {item: item for item in outputs},
    }


def _query_heads(program: Program, shared: int) -> int:
    """Query heads of the language model; those of the cache, where it has no such parameter."""
    part = program.root.parts.get(program.role("llm") or "")
    heads = part.definition.binding.get("heads") if isinstance(part, Instance) else None
    return heads.value if isinstance(heads, Dim) and heads.is_const else shared


def _genai_decoder(decoder: Component, heads: int) -> dict[str, Any]:
    names = {item.name for item in decoder.model.graph.input}
    plain = [n for n in ("inputs_embeds", "attention_mask", "position_ids") if n in names]
    part = _genai_part(GENAI_DECODER, plain, ["logits"])
    for kind in ("key", "value"):
        part["inputs"][f"past_{kind}_names"] = f"past_key_values.%d.{kind}"
        part["outputs"][f"present_{kind}_names"] = f"present.%d.{kind}"
    slot = decoder.slots[0]
    part |= {
        "head_size": slot.key,
        "hidden_size": _width([decoder]),
        "num_attention_heads": heads,
        "num_key_value_heads": slot.heads,
        "num_hidden_layers": len(decoder.slots),
    }
    return part


def _genai_search(program: Program) -> dict[str, Any]:
    return {
        "do_sample": False,
        "max_length": program.context,
        "num_beams": 1,
        "past_present_share_buffer": False,
    }
