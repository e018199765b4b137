"""Faster products on CPUs: linear layers whose weights oneDNN has laid out for its own kernels.

The emitter copies this into files of models that generate. It rests on operations that torch keeps
private.
"""

import torch
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A linear layer with packed weights, for inference on CPUs."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features = linear.out_features
        weight = linear.weight.detach().to_mkldnn()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Affine map of the last axis."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


def pack_linears(net: nn.Module) -> None:
    """Replace all linear layers below a module by packed ones."""
    for name, child in net.named_children():
        if type(child) is nn.Linear:
            setattr(net, name, PackedLinear(child))
        else:
            pack_linears(child)
