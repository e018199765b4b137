"""Faster products on CPUs: weights that oneDNN has laid out for its own kernels.

The emitter copies this into files of models that generate. It rests on operations that torch keeps
private, and is for inference only.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A linear layer with a packed weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = pack(linear.weight)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Affine map of the last axis."""
        return packed_linear(x, self.weight, self.bias)


class PackedTable:
    """An embedding table that also serves as the weight of a product, which is then packed."""

    def __init__(self, table: Tensor) -> None:
        self.table = table.detach()
        self.dtype = table.dtype
        self.packed: Tensor | None = None

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Torch calls this where the table is an argument of one of its functions."""
        x, weight, *rest = args
        if function is not F.linear:
            return function(x, weight.table, *rest, **(kwargs or {}))
        if weight.packed is None:
            weight.packed = pack(weight.table)
        return packed_linear(x, weight.packed, rest[0] if rest else None)


def pack(weight: Tensor) -> Tensor:
    """Lay out a weight `[out, in]` for the kernels of oneDNN."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return packed


def packed_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Affine map of the last axis with a packed weight."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


def pack_linears(net: nn.Module) -> None:
    """Pack the weights of all linear layers and embedding tables below a module."""
    for name, child in net.named_children():
        if type(child) is nn.Linear:
            setattr(net, name, PackedLinear(child))
        elif type(child) is nn.Embedding:
            table = PackedTable(child.weight)
            del child.weight
            object.__setattr__(child, "weight", table)
        else:
            pack_linears(child)
