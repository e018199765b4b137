"""Any encoder with any connector with any language model: one line of a spec each, at odd little sizes.

A mix either computes the same on PyTorch and ONNX Runtime, or is refused by a diagnostic that says why.

    python tools/mix.py [--encoder NAME] [--connector NAME] [--llm NAME] [--verify]
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lmmdsl

_VIT = "width = 36, depth = 2, heads = 3, mlp_width = 50"


@dataclass(frozen=True)
class Part:
    """One part of the library: where it is, its line, and what stands in the chain of `visual` for it."""

    module: str
    call: str
    chain: str = ""
    sections: str = ""

    @property
    def imports(self) -> str:
        """The line that brings the block."""
        return f"from std.{self.module} import {self.call.partition('(')[0]}"


ENCODERS = {
    "bigg": Part("vision.bigg", f"BigGVit(image_size = 12, patch_size = 4, {_VIT})"),
    "clip": Part("vision.clip", f"ClipVit(image_size = 12, patch_size = 4, {_VIT})", "drop_first"),
    "eva": Part("vision.eva", f"EvaVit(image_size = 15, patch_size = 5, {_VIT})", "drop_first"),
    "eva2": Part("vision.eva2", f"Eva2Vit(image_size = 14, patch_size = 7, {_VIT})", "drop_first"),
    "mplug": Part(
        "vision.mplug", f"MplugVit(image_size = 9, patch_size = 3, {_VIT})", "drop_first"
    ),
    "vit": Part(
        "vision.vit", f"Vit(image_size = 8, image_width = 12, patch_size = 4, {_VIT})", "drop_first"
    ),
    "nfnet": Part(
        "vision.nfnet",
        "NfNet(image_size = 45, depths = [1, 1, 2, 1], widths = [24, 32, 40, 32], bottlenecks = [16, 16, 24, 16], "
        "se_widths = [16, 16, 24, 16], width = 52, group_width = 8, stem_widths = [2, 4, 8, 16])",
    ),
    "patches": Part(
        "vision.patches", "Patches(patch_size = 4)", 'rearrange("i r c d -> i (r c) d")'
    ),
}

CONNECTORS = {
    "linear": Part("nn", "Linear(vision.width, llm.width)"),
    "mlp": Part("mlp", "Mlp(in = vision.width, hidden = 44, out = llm.width)"),
    "glu": Part(
        "connector.glu", "GluAdapter(in = vision.width, width = llm.width, mlp_width = 58)"
    ),
    "abstractor": Part(
        "connector.abstractor",
        "Abstractor(width = vision.width, depth = 2, heads = 2, mlp_width = 46, queries = 5, out = llm.width)",
    ),
    "perceiver": Part(
        "connector.perceiver",
        "PerceiverResampler(in = vision.width, width = llm.width, depth = 2, heads = 3, head_dim = 10, "
        "mlp_width = 70, queries = 5)",
    ),
    "qformer": Part(
        "connector.qformer",
        "QFormer(image_width = vision.width, queries = 5, width = llm.width, depth = 3, heads = 2, mlp_width = 62, "
        "vocab = 11, context = 7)",
    ),
    "query_stack": Part(
        "connector.qformer",
        "QueryStack(image_width = vision.width, queries = 5, width = llm.width, depth = 3, heads = 2, mlp_width = 62)",
    ),
    "resampler": Part(
        "connector.resampler",
        "Resampler(in = vision.width, width = llm.width, heads = 2, image_side = vision.grid, query_side = 4)",
    ),
}

_LLM = "depth = 2, mlp_width = 62, vocab = 97, context = 64"
_PREFIX = """
  positions { return glm_positions(real, starts = <bos>, blanks = <bos>) }

  sees chat {
    before <bos> sees before <bos>
    all sees all causally
  }
"""

LLMS = {
    "llama": Part("llm.llama", f"Llama(width = 40, heads = 4, kv_heads = 2, {_LLM})"),
    "qwen": Part("llm.qwen", f"Qwen(width = 24, heads = 2, {_LLM})"),
    "opt": Part("llm.opt", f"Opt(width = 28, heads = 2, {_LLM})"),
    "mpt": Part("llm.mpt", f"Mpt(width = 48, heads = 6, {_LLM})"),
    "neox": Part("llm.neox", f"GptNeox(width = 32, heads = 2, {_LLM})"),
    "persimmon": Part("llm.persimmon", f"Persimmon(width = 48, heads = 2, {_LLM})"),
    "chinchilla": Part("llm.chinchilla", f"Chinchilla(width = 60, heads = 3, {_LLM})"),
    "chatglm": Part(
        "llm.chatglm", f"ChatGlm(width = 24, heads = 2, alpha = 2.0, {_LLM})", sections=_PREFIX
    ),
    "t5": Part(
        "llm.t5", f"T5(width = 44, heads = 3, head_dim = 6, buckets = 8, max_distance = 12, {_LLM})"
    ),
}


def page(encoder: Part, connector: Part, llm: Part) -> str:
    """The spec of a mix."""
    imports = [part.imports for part in (encoder, connector, llm)]
    if llm.sections:
        imports.append("from std.llm.chatglm import glm_positions")
    if encoder.chain == "drop_first":
        imports.append("from std.tokens import drop_first")
    head = "\n".join(imports)
    chain = " |> ".join(filter(None, ("vision", encoder.chain, "joint")))
    answer = (
        "-> <bos> {answer: loss, limit = 8} <eos>"
        if "T5(" in llm.call
        else "<bos> {answer: loss} <eos>"
    )
    return f"""{head}

model Mix {{
  source "a mix"

  encoder   vision: {encoder.call}
  connector joint:  {connector.call}
  llm       llm:    {llm.call}

  visual = {chain}

  vocab {{ <pad> = 0, <bos> = 1, <eos> = 2, <image> = 3 }}

  layout chat {{ <image = visual> {{question}} {answer} }}
{llm.sections}}}
"""


def mixes(encoder: str = "", connector: str = "", llm: str = "") -> Iterator[tuple[str, str, str]]:
    """Names of the parts of every mix, or of those with the parts that are named."""
    for first in [encoder] if encoder else ENCODERS:
        for second in [connector] if connector else CONNECTORS:
            for third in [llm] if llm else LLMS:
                yield first, second, third


def write(folder: Path, encoder: str, connector: str, llm: str) -> Path:
    """Write the spec of a mix into a folder."""
    path = folder / f"{encoder}-{connector}-{llm}.lmm"
    text = page(ENCODERS[encoder], CONNECTORS[connector], LLMS[llm])
    path.write_text(text, encoding="utf-8")
    return path


def main() -> int:
    """Check, or verify, the mixes that are asked for; 1, if two sides of one differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", choices=ENCODERS, default="")
    parser.add_argument("--connector", choices=CONNECTORS, default="")
    parser.add_argument("--llm", choices=LLMS, default="")
    parser.add_argument("--verify", action="store_true", help="compute those that are sound")
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for names in mixes(args.encoder, args.connector, args.llm):
            path = write(Path(folder), *names)
            found = lmmdsl.check(path)
            said = "; ".join(f"{one.code}: {one.message()}" for one in found) or "sound"
            if args.verify and not found:
                answers = lmmdsl.verify(path).answers
                apart = [one.question for one in answers if not one.agrees]
                wrong += bool(apart)
                said = f"differs in {apart}" if apart else f"{len(answers)} answers agree"
            print(" + ".join(names), said, sep=": ", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
