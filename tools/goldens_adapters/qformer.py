"""Settings of the Q-Former, which several systems use."""

from collections.abc import Mapping
from typing import Any

from goldens_adapters.words import demand, pick


def qformer_settings(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `QFormer` for a `connector` section."""
    demand(
        connector,
        kind="qformer",
        norm="layernorm",
        norm_position="post",
        activation="gelu_erf",
        cross_attention_first=0,
        head_dim=connector["width"] // connector["heads"],
    )
    sizes = pick(
        connector,
        "queries",
        "width",
        "depth",
        "heads",
        "mlp_width",
        "vocab",
        "context",
        "norm_eps",
    )
    return sizes | {"cross_every": connector.get("cross_attention_every", 2)}
