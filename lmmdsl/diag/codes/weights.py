"""E07: stages, weight maps and checkpoints."""

import re

from lmmdsl.diag.model import Diagnostic, Located, Suggestion, diagnostic
from lmmdsl.diag.suggest import did_you_mean, join, respell

_MOST = 8
_LAYER = re.compile(r"\.\d+\.")


@diagnostic("E0701", "trains-missing-part", "a stage trains a part that does not exist")
class TrainsMissingPart(Located):
    """A stage names a part that the model does not have, or does not use.

    Nothing would train, and the run would look healthy. Layers that no value needs
    (`vision.hidden[-2]` never runs the last layer) are not built and cannot train either.

    Wrong:
        stage pretrain { train projector }
    Right:
        stage pretrain { train proj }
    """

    stage: str
    path: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name both."""
        return f"stage `{self.stage}` trains `{self.path}`, which is not a part of the model"

    def helps(self) -> tuple[str, ...]:
        """Offer near parts."""
        return did_you_mean(self.at, self.path, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near part."""
        return respell(self.at, self.path, self.candidates)


@diagnostic("E0702", "unknown-scheme", "a naming scheme does not exist")
class UnknownScheme(Located):
    """`weights`, `naming` or a command names a scheme that the block does not define.

    Wrong:
        weights hff "org/model" { vision = "vision_tower" }
    Right:
        weights hf "org/model" { vision = "vision_tower" }
    """

    scheme: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"there is no naming scheme `{self.scheme}`"

    def helps(self) -> tuple[str, ...]:
        """Offer near schemes."""
        return did_you_mean(self.at, self.scheme, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near scheme."""
        return respell(self.at, self.scheme, self.candidates)


@diagnostic("E0703", "not-mapped", "parameters have no name in a checkpoint")
class NotMapped(Located):
    """A weight map must name every parameter that the model uses; some have no rule.

    A map that leaves a parameter out would leave it at random values.

    Wrong:
        weights hf "org/model" { vision = "tower", llm = "lm" }      # proj is missing
    Right:
        weights hf "org/model" { vision = "tower", llm = "lm", proj = "projector" }
    """

    scheme: str
    paths: tuple[str, ...]
    total: int

    def message(self) -> str:
        """Show how many."""
        return f"`{self.scheme}` names {self.total - len(self.paths)} of {self.total} parameters"

    def notes(self) -> tuple[str, ...]:
        """List the parameters."""
        paths = dict.fromkeys(_LAYER.sub(".*.", path) for path in self.paths)
        return (f"without a name: {join(paths, 'and')}",)


@diagnostic("E0704", "name-twice", "two parameters have one name in a checkpoint")
class NameTwice(Located):
    """A weight map gives two parameters the same name.

    If both are one tensor (a tied embedding), use the same parameter in the model; if one tensor
    holds both, say so with a list: `[q, k, v] = "qkv"`.

    Wrong:
        naming hf { norm1 = "norm", norm2 = "norm" }
    Right:
        naming hf { norm1 = "norm1", norm2 = "norm2" }
    """

    scheme: str
    name: str
    paths: tuple[str, ...]

    def message(self) -> str:
        """Name them."""
        return f"`{self.scheme}` calls both {join(self.paths, 'and')} `{self.name}`"


@diagnostic("E0705", "lora-target", "a LoRA rule names a part without a matrix")
class LoraTarget(Located):
    """LoRA adapts linear parts: parts with one `weight` matrix and a `forward` that applies it.

    Wrong:
        stage tune { lora(rank = 8) on llm.layers[*].norm1 }
    Right:
        stage tune { lora(rank = 8) on llm.layers[*].attn.q }
    """

    path: str
    found: str

    def message(self) -> str:
        """Name the part and its kind."""
        return f"LoRA needs a linear part, but `{self.path}` is {self.found}"


@diagnostic("E0706", "checkpoint-mismatch", "a checkpoint does not fit the model")
class CheckpointMismatch(Diagnostic):
    """Tensors of a checkpoint and parameters of the model do not match one to one.

    Every tensor must be used exactly once and every parameter must get one of its shape; nothing is
    newly initialised. A checkpoint of another size of the model shows as shapes, one of another
    naming as names.

    Wrong:
        lmmdsl.load_weights(net, "model-7b.safetensors", naming="hf")      # net is the 13b variant
    Right:
        lmmdsl.load_weights(net, "model-13b.safetensors", naming="hf")
    """

    file: str = ""
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshapen: tuple[tuple[str, str, str], ...] = ()  # name, wanted, found
    near: tuple[tuple[str, str], ...] = ()  # missing name, name in the file

    def message(self) -> str:
        """Count."""
        counts = (
            (len(self.missing), "missing"),
            (len(self.unexpected), "unexpected"),
            (len(self.misshapen), "of another shape"),
        )
        found = ", ".join(f"{count} {what}" for count, what in counts if count)
        file = f"`{self.file}`" if self.file else "the checkpoint"
        return f"{file} does not fit the model: {found}"

    def notes(self) -> tuple[str, ...]:
        """List the names."""
        shapes = [f"{name} is {found}, not {wanted}" for name, wanted, found in self.misshapen]
        lists = (
            ("missing", list(self.missing)),
            ("unexpected", list(self.unexpected)),
            ("of another shape", shapes),
        )
        return tuple(f"{what}:\n{_listed(names)}" for what, names in lists if names)

    def helps(self) -> tuple[str, ...]:
        """Pair missing names with near ones."""
        if not self.near:
            return ()
        pairs = "\n".join(f"  {ours} <- {theirs}" for ours, theirs in self.near[:_MOST])
        return (f"these may be the same tensors:\n{pairs}",)


def _listed(names: list[str]) -> str:
    more = [f"  and {len(names) - _MOST} more"] if len(names) > _MOST else []
    return "\n".join([f"  {name}" for name in names[:_MOST]] + more)


@diagnostic("E0707", "bad-checkpoint", "a checkpoint cannot be read")
class BadCheckpoint(Diagnostic):
    """A weight file is damaged, incomplete or not in the safetensors format.

    Only safetensors files are read: formats based on pickle can run code.

    Wrong:
        lmmdsl.load_weights(net, "pytorch_model.bin", naming="hf")
    Right:
        lmmdsl.load_weights(net, "model.safetensors", naming="hf")
    """

    file: str
    problem: str

    def message(self) -> str:
        """Name the file and the problem."""
        return f"cannot read weights from `{self.file}`: {self.problem}"


@diagnostic("E0708", "unknown-mapped-part", "a weight map names a part that does not exist")
class UnknownMappedPart(Located):
    """The left side of a `naming` or `weights` line is a path of a part or parameter of the owner.

    Wrong:
        weights hf "org/model" { visoin = "vision_tower" }
    Right:
        weights hf "org/model" { vision = "vision_tower" }
    """

    scheme: str
    path: str
    candidates: tuple[str, ...] = ()

    def message(self) -> str:
        """Name both."""
        return f"`{self.scheme}` names `{self.path}`, which is not a part"

    def helps(self) -> tuple[str, ...]:
        """Offer near parts."""
        return did_you_mean(self.at, self.path, self.candidates)

    def fixes(self) -> tuple[Suggestion, ...]:
        """Replace by the near part."""
        return respell(self.at, self.path, self.candidates)


@diagnostic("E0710", "trains-nothing", "a stage trains nothing")
class TrainsNothing(Located):
    """A stage names no part, or only parts without parameters that the model uses.

    Wrong:
        stage pretrain { }
    Right:
        stage pretrain { train proj }
    """

    stage: str
    parts: tuple[str, ...] = ()

    def message(self) -> str:
        """Name it."""
        return f"stage `{self.stage}` trains nothing"

    def helps(self) -> tuple[str, ...]:
        """Show what it could train."""
        return (f"name parts that learn: {join(self.parts)}",) if self.parts else ()
