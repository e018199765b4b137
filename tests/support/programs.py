"""Checked programs for tests: the specs that ship, and models written in a few lines."""

from functools import cache

import lmmdsl
from lmmdsl.driver.session import Request, check_text
from lmmdsl.graph.program import Program
from tests.guards.modules import ROOT


@cache
def shipped(name: str, variant: str | None = None) -> Program:
    """A spec of this repository."""
    return lmmdsl.load(ROOT / "specs" / f"{name}.lmm", variant=variant).program


def written(text: str) -> Program:
    """A model from its text."""
    checked = check_text(text, Request(path="written.lmm"))
    assert checked.program is not None, [str(item) for item in checked.diagnostics]
    return checked.program


VISION = (
    "ClipVit(image_size = 28, patch_size = 7, width = 32, depth = 3, heads = 4, mlp_width = 90)"
)
LLM = "Llama(width = 40, depth = 2, heads = 4, kv_heads = 2, mlp_width = 108, vocab = 128, context = 256)"

# Texts that would break out of a label, a cell or a line if nobody escaped them.
HOSTILE = f"""
from std.llm.llama   import Llama
from std.mlp         import Mlp
from std.vision.clip import ClipVit

model Odd {{
  source "a \\"quoted\\" <source> & | ]]> -->"
  encoder   vision: {VISION}
  connector proj:   Mlp(in = vision.width, hidden = llm.width, out = llm.width)
  llm       llm:    {LLM}
  visual = vision.hidden[-2] |> proj
  vocab {{ <bos> = 1, <image> = 9 }}
  layout chat {{
    <bos> "</TD><b>&amp; \\"\\\\ \\t | % # x" ( <image = visual> {{question, limit = 12}} )* {{answer: loss}}
  }}
  layout empty {{ "" <image = visual> }}
  stage tune {{
    train proj
    lora (rank = 4) on llm.layers[*].attn.q
  }}
}}
"""

ENCODER = f"""
from std.vision.clip import ClipVit

model Encoder {{
  encoder vision: {VISION}

  flow run(pixels: [B, 3, 28, 28]) -> [B, 17, 32] {{
    return vision(pixels)
  }}
}}
"""

BRANCHES = f"""
from std.mlp         import Mlp
from std.vision.clip import ClipVit

model Branches {{
  encoder vision: {VISION}
  part    a:      Mlp(in = 32, hidden = 64, out = 32)
  part    b:      Mlp(in = 32, hidden = 64, out = 32)

  flow run(pixels: [B, 3, 28, 28]) -> [B, 17, 32] {{
    x = vision(pixels)
    return a(x) + b(x) * 0.5
  }}
}}
"""

TEXT_ONLY = f"""
from std.llm.llama import Llama

model TextOnly {{
  llm llm: {LLM}
}}
"""
