"""Training stages of an emitted model: which parts learn, and their groups for an optimizer.

The emitter copies this into the file of a model that declares stages.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stages(nn.Module):
    """Training in stages.

    `STAGES` names the parts that learn in each; everything else is frozen. `*` stands for every
    layer.
    """

    STAGES: ClassVar[dict[str, tuple[str, ...]]]

    def set_stage(self, name: str) -> int:
        """Freeze everything except what a stage trains; gives the number of values that learn."""
        self._check_stage(name)
        self.requires_grad_(False)
        learning = self.stage_parameters(name).values()
        for parameter in learning:
            parameter.requires_grad_(True)
        return sum(parameter.numel() for parameter in learning)

    def stage_parameters(self, name: str) -> dict[str, nn.Parameter]:
        """Parameters that learn in a stage, by path."""
        return {path: p for path, p in self.named_parameters() if self._owner(name, path)}

    def parameter_groups(
        self, stage: str, *, weight_decay: float = 0.0, rates: Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        """Optimizer groups of a stage: per part, matrices and (without decay) vectors.

        Args:
            stage: name of the stage.
            weight_decay: of matrices; biases, norms and other vectors have none.
            rates: learning rates by part, where they differ from the optimizer's.

        Raises:
            ValueError: there is no such stage, or a rate is for a part that does not learn in it.
        """
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for path, parameter in self.stage_parameters(stage).items():
            part, decays = self._owner(stage, path), parameter.ndim > 1
            new: dict[str, Any] = {"name": part if decays else f"{part} (vectors)", "params": []}
            new["weight_decay"] = weight_decay if decays else 0.0
            if rates is not None and part in rates:
                new["lr"] = rates[part]
            groups.setdefault((part, decays), new)["params"].append(parameter)
        if idle := set(rates or ()) - {part for part, _ in groups}:
            raise ValueError(f"nothing learns in stage {stage!r} at the rate of {sorted(idle)}")
        return list(groups.values())

    def _owner(self, stage: str, path: str) -> str:
        """The part of a stage that a parameter learns with, or ""."""
        self._check_stage(stage)
        return next((part for part in self.STAGES[stage] if is_within(path, part)), "")

    def _check_stage(self, name: str) -> None:
        if name not in self.STAGES:
            raise ValueError(f"no stage {name!r}, only {', '.join(map(repr, self.STAGES))}")


class AdaptedStages(Stages):
    """Training in stages of which some learn low-rank adapters.

    `ADAPTERS` names the linear layers that get one in a stage, with rank and alpha.
    """

    ADAPTERS: ClassVar[dict[str, tuple[tuple[str, int, float], ...]]]

    def set_stage(self, name: str) -> int:
        """Freeze everything except what a stage trains; gives the number of values that learn.

        Adapters are added the first time that a stage needs them: load the weights before.
        """
        self._check_stage(name)
        for part, rank, alpha in self.ADAPTERS.get(name, ()):
            for path, module in list(self.named_modules()):
                if type(module) is nn.Linear and is_within(path, part):
                    add_adapter(module, rank, alpha)
        return super().set_stage(name)

    def _owner(self, stage: str, path: str) -> str:
        if not path.rpartition(".")[2].startswith("lora_"):
            return super()._owner(stage, path)
        parts = (part for part, _, _ in self.ADAPTERS.get(stage, ()))
        return next((part for part in parts if is_within(path, part)), "")


class AdaptedLinear(nn.Linear):
    """A linear layer with a low-rank addition (arXiv 2106.09685), under the names it had before."""

    lora_down: nn.Parameter  # [rank, in]
    lora_up: nn.Parameter  # [out, rank]
    lora_scale: float

    def forward(self, x: Tensor) -> Tensor:
        """Affine map of the last axis, and the adapter's."""
        change = F.linear(F.linear(x, self.lora_down), self.lora_up)
        return super().forward(x) + change * self.lora_scale


def add_adapter(linear: nn.Linear, rank: int, alpha: float) -> None:
    """Give a linear layer an adapter that changes nothing yet."""
    weight = linear.weight
    linear.__class__ = AdaptedLinear
    assert isinstance(linear, AdaptedLinear)
    down = torch.randn(rank, weight.shape[1], dtype=weight.dtype, device=weight.device)
    linear.lora_down = nn.Parameter(down * weight.shape[1] ** -0.5)
    linear.lora_up = nn.Parameter(weight.new_zeros(weight.shape[0], rank))
    linear.lora_scale = alpha / rank


def is_within(path: str, part: str) -> bool:
    """Whether a path is a part or below it; `*` in the part is any one step."""
    steps, wanted = path.split("."), part.split(".")
    pairs = zip(steps, wanted, strict=False)
    return len(steps) >= len(wanted) and all(want in ("*", step) for step, want in pairs)
