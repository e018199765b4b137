"""How long commands take, and how much memory, against the bare start of an interpreter."""

import sys
from pathlib import Path

from bench_table import Table, disturbed, goal, seconds
from bench_timing import ROOT, Command, Round, interleave

SPEC = ROOT / "specs" / "llava_v1_5.lmm"  # without a variant: 13B
LLAVA = """
import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlamaConfig, CLIPVisionConfig
text = LlamaConfig(hidden_size=5120, intermediate_size=13824, num_hidden_layers=40, num_attention_heads=40)
vision = CLIPVisionConfig(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                          image_size=336, patch_size=14)
with torch.device("meta"):
    LlavaForConditionalGeneration(LlavaConfig(text_config=text, vision_config=vision))
"""
PEER = "transformers: the same 13B model on the meta device"
GOALS = {"lmmc --help": 0.15, "lmmc check": 0.4, "lmmc compile --to onnx": 1.0}


def run(folder: Path, rounds: int) -> Table:
    """Time the commands."""
    python, lmmc = [sys.executable], [sys.executable, "-m", "lmmdsl"]
    build = [*lmmc, "compile", SPEC, "-o", folder / "commands"]
    result = interleave(
        [
            Command("python -c pass", [*python, "-c", "pass"], 10),
            Command("lmmc --help", [*lmmc, "--help"], 3),
            Command("lmmc check", [*lmmc, "check", SPEC], 3),
            Command("lmmc compile --to torch", [*build, "--to", "torch"], 2),
            Command("lmmc compile --to onnx", [*build, "--to", "onnx"], 2),
            Command("python -c 'import torch'", [*python, "-c", "import torch"]),
            Command(PEER, [*python, "-c", LLAVA]),
        ],
        rounds,
    )
    rows = [_row(result, name) for name in result.samples]
    note = (
        "The spec is LLaVA-v1.5 13B. ONNX: all graphs, no weights. "
        f"{disturbed(result.disturbed, result.taken)}"
    )
    header = ("command", "time", "bare starts", "faster than that peer", "peak memory", "goal")
    return Table("1-commands", "Commands on a 13B spec", header, rows, note)


def _row(result: Round, name: str) -> list[str]:
    time = result.median(name)
    starts = 1 / result.ratios("python -c pass", name).middle
    wanted = GOALS.get(name)
    return [
        name if name == PEER else f"`{name}`",
        seconds(time),
        f"{starts:.1f}",
        str(result.ratios(PEER, name)) if name.startswith("lmmc") else "",
        f"{result.peak(name):.0f} MiB",
        goal(time <= wanted, f"<= {wanted} s") if wanted else "",
    ]
