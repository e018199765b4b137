"""Low-rank adapters of a case: where they stand in the language model, and how wide they are."""

import re
from collections.abc import Mapping
from typing import Any

from goldens_adapters.words import demand, pick

PLACES = {
    "q_proj": "attn.q",
    "k_proj": "attn.k",
    "v_proj": "attn.v",
    "o_proj": "attn.out",
    "gate_proj": "mlp.gate",
    "up_proj": "mlp.up",
    "down_proj": "mlp.down",
}
INJECTION = re.compile(r"  inject Lora\(.*\) around llm\.layers\[\*\]\..*\n")
STAGE = re.compile(r"  stage \w+ +\{(?:[^\n]*\}\n|.*?\n  \}\n)", re.DOTALL)


def injection(lora: Mapping[str, Any] | None, *, rank: str = "", alpha: str = "") -> str:
    """The line that puts the adapters of a `lora` section on `llm`; empty without or with merged ones.

    Args:
        lora: the section.
        rank: what stands for the rank, if not the number.
        alpha: what stands for alpha, if not the number.
    """
    if not lora or lora.get("merged"):
        return ""
    demand(lora, scale=lora["alpha"] / lora["rank"])
    places = ", ".join(PLACES[name] for name in lora["targets"])
    sizes = f"rank = {rank or lora['rank']}, alpha = {alpha or lora['alpha']}"
    return f"  inject Lora({sizes}) around llm.layers[*].{{{places}}}\n"


def add_adapters(text: str, llm: Mapping[str, Any]) -> str:
    """A spec without adapters with those of a case."""
    line = injection(llm.get("lora"))
    if not line:
        return text
    text = STAGE.sub("", text).replace("from std.", "from std.lora import Lora\nfrom std.", 1)
    return text.replace("  preprocess", f"{line}\n  preprocess", 1)


def with_adapters(text: str, llm: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A spec with the adapters of a case, and their settings.

    Merged adapters, or none, leave the plain language model. Stages go: they name what trains in the adapters.
    """
    lora = llm.get("lora")
    text = STAGE.sub("", text)
    line = injection(lora, rank="rank", alpha="alpha")
    text, count = INJECTION.subn(line, text)
    assert count == 1
    return text, pick(lora, "rank", "alpha") if line else {}
