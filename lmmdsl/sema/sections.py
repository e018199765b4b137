"""The sections of a model around its dataflow: stages, weights, preprocessing, injections."""

from collections.abc import Mapping

from lmmdsl.diag.codes.layout import PreprocessSize
from lmmdsl.diag.codes.types import BadValue, UnknownSetting
from lmmdsl.diag.codes.weights import LoraTarget, TrainsMissingPart
from lmmdsl.diag.suggest import within
from lmmdsl.dims.expr import Dim
from lmmdsl.graph.ir import Definition, Param, walk
from lmmdsl.graph.program import LoraRule, Stage, Weights
from lmmdsl.sema import expr, operators
from lmmdsl.sema.context import Context
from lmmdsl.sema.naming import checked_rules, naming_rules
from lmmdsl.sema.select import near_misses, select
from lmmdsl.sema.values import OpRef, Poison, Scope
from lmmdsl.syntax import ast

PREPROCESS = (
    "resize",
    "fit",
    "multiple",
    "crop",
    "pad",
    "mean",
    "std",
    "filter",
    "rescale",
    "color",
)
WORDS = (
    "center", "none", "bicubic", "bilinear", "nearest", "lanczos", "square", "shortest", "mean_color", "rgb",
)  # fmt: skip


def build_stage(item: ast.StageDecl, root: Definition, ctx: Context) -> Stage:
    """A training stage.

    Reports:
        E0701 for a path that matches no part, E0705 for LoRA on a part without a matrix.
    """
    train: list[str] = []
    lora: list[LoraRule] = []
    for rule in item.rules:
        paths = [path for selector in rule.paths for path in _paths(selector, item, root, ctx)]
        if rule.kind == "train":
            train.extend(paths)
        else:
            lora.append(_lora(rule, tuple(paths), root, ctx))
    return Stage(item.name, tuple(dict.fromkeys(train)), tuple(lora), item.span)


def _paths(
    selector: ast.Selector, item: ast.StageDecl, root: Definition, ctx: Context
) -> tuple[str, ...]:
    errors = ctx.sink.errors
    paths = select(selector, root, ctx)
    if not paths and errors == ctx.sink.errors and not is_broken(head(selector), root, ctx):
        candidates = near_misses(selector, root, ctx)
        ctx.sink.add(
            TrainsMissingPart(
                at=selector.span, stage=item.name, path=selector.span.text, candidates=candidates
            )
        )
    return paths


def head(selector: ast.Selector) -> str:
    """Name of the model's part that a selector starts at, "" when it starts with several."""
    names = selector.steps[0].names
    return names[0] if names else ""


def is_broken(name: str, root: Definition, ctx: Context) -> bool:
    """Whether a part is declared but could not be made, which was reported already."""
    return name not in root.parts and ctx.scope.has(name)


def _lora(rule: ast.StageRule, paths: tuple[str, ...], root: Definition, ctx: Context) -> LoraRule:
    numbers: dict[str, float] = {"rank": 8.0, "alpha": 16.0}
    for setting in rule.settings:
        value = expr.evaluate(setting.value, ctx)
        if setting.name not in numbers:
            ctx.sink.add(
                UnknownSetting(
                    at=within(setting.span, setting.name) or setting.span,
                    section="lora",
                    name=setting.name,
                    candidates=tuple(numbers),
                )
            )
        elif (positive := _positive(setting, value, ctx)) is not None:
            numbers[setting.name] = positive
    definitions = dict(walk(root))
    refused: set[str] = set()
    for path in paths:
        definition = definitions.get(path)
        weight = definition.parts.get("weight") if definition else None
        if not isinstance(weight, Param) or len(weight.shape) != 2:
            found = f"an instance of `{definition.block}`" if definition else "no single part"
            if found not in refused:  # once, whatever the number of layers
                ctx.sink.add(LoraTarget(at=rule.span, path=path, found=found))
            refused.add(found)
    return LoraRule(paths, int(numbers["rank"]), numbers["alpha"])


def _positive(setting: ast.Setting, value: object, ctx: Context) -> float | None:
    """A positive number, a whole one for a rank; None after reporting E0303 or E0307."""
    if setting.name == "rank" or isinstance(value, Dim) or not isinstance(value, float):
        found: float | None = operators.number(value, f"`{setting.name}`", setting.span, ctx)
    else:
        found = value
    if found is not None and found <= 0:
        what = f"`{setting.name} = {found}`"
        ctx.sink.add(BadValue(at=setting.span, what=what, problem="must be positive"))
        return None
    return found


def build_weights(item: ast.Naming, root: Definition, ctx: Context) -> Weights:
    """A checkpoint map.

    Reports:
        E0708 for a rule that names no part.
    """
    rules = checked_rules(item.scheme, naming_rules(item, ctx), root, ctx)
    return Weights(item.scheme, item.repository or "", rules, item.span)


def build_preprocess(item: ast.Section, ctx: Context) -> Mapping[str, object]:
    """Preprocessing of an encoder's images, as plain numbers and words.

    Reports:
        E0308 for an unknown setting.
    """
    words = Scope({word: OpRef(word) for word in WORDS}, ctx.scope)
    found: dict[str, object] = {}
    for setting in item.settings:
        if setting.name not in PREPROCESS:
            ctx.sink.add(
                UnknownSetting(
                    at=within(setting.span, setting.name) or setting.span,
                    section="preprocess",
                    name=setting.name,
                    candidates=PREPROCESS,
                )
            )
            continue
        value = expr.evaluate(setting.value, ctx.inside(words))
        if not isinstance(value, Poison):
            found[setting.name] = _plain(value)
    return found


def check_size(item: ast.Section, encoder: Definition, ctx: Context) -> None:
    """Compare the size that preprocessing gives with the one that an encoder takes.

    Reports:
        E0511 when they differ.
    """
    graph = encoder.methods.get("forward")
    taken = graph.type_of(graph.inputs[0]).shape[-2:] if graph and graph.inputs else ()
    for setting in item.settings:
        sizes = expr.evaluate(setting.value, ctx) if setting.name == "resize" else None
        pair = sizes if isinstance(sizes, tuple) else (sizes, sizes)  # height and width
        for resized, size in zip(pair, taken, strict=False):
            if (
                isinstance(resized, Dim)
                and isinstance(size, Dim)
                and size.is_const
                and resized != size
            ):
                at = setting.value.span
                ctx.sink.add(PreprocessSize(at=at, part=item.name, resized=resized, taken=size))
                break


def _plain(value: object) -> object:
    match value:
        case Dim():
            return value.value if value.is_const else str(value)
        case tuple():
            return tuple(_plain(item) for item in value)
        case OpRef():
            return value.name
        case _:
            return value
