"""Training stages of an emitted model: which parts learn, and their groups for an optimizer.

The emitter copies this into the file of a model that declares stages.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn


class Stages(nn.Module):
    """Training in stages: `STAGES` names the parts that learn in each, the others are frozen."""

    STAGES: ClassVar[dict[str, tuple[str, ...]]]

    def set_stage(self, name: str) -> int:
        """Freeze everything except the parts of a stage; gives the number of values that learn."""
        self.requires_grad_(False)
        for parameter in self.stage_parameters(name).values():
            parameter.requires_grad_(True)
        return sum(parameter.numel() for parameter in self.stage_parameters(name).values())

    def stage_parameters(self, name: str) -> dict[str, nn.Parameter]:
        """Parameters that learn in a stage, by path."""
        if name not in self.STAGES:
            raise ValueError(f"no stage {name!r}, only {', '.join(map(repr, self.STAGES))}")
        parts = self.STAGES[name]
        return {
            path: parameter
            for path, parameter in self.named_parameters()
            if any(path == part or path.startswith(part + ".") for part in parts)
        }

    def parameter_groups(
        self, stage: str, *, weight_decay: float = 0.0, rates: Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        """Optimizer groups of a stage: per part, matrices and (without decay) vectors.

        Args:
            stage: name of the stage.
            weight_decay: of matrices; biases, norms and other vectors have none.
            rates: learning rates by part, where they differ from the optimizer's.
        """
        groups: dict[tuple[str, bool], dict[str, Any]] = {}
        for path, parameter in self.stage_parameters(stage).items():
            part = next(p for p in self.STAGES[stage] if path == p or path.startswith(p + "."))
            decays = parameter.ndim > 1
            new: dict[str, Any] = {"name": part if decays else f"{part} (vectors)", "params": []}
            new["weight_decay"] = weight_decay if decays else 0.0
            if rates is not None and part in rates:
                new["lr"] = rates[part]
            groups.setdefault((part, decays), new)["params"].append(parameter)
        return list(groups.values())
