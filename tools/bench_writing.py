"""Writing an ONNX package of about a billion parameters, against `cp` of the same bytes."""

import json
import math
import os
import shutil
import struct
import sys
from pathlib import Path

from bench_table import Table, disturbed, goal, seconds
from bench_timing import ROOT, Command, interleave

import lmmdsl

SPEC = ROOT / "specs" / "llava_v1_5.lmm"
SIZES = {"llm.width": 1536, "llm.depth": 20, "llm.heads": 12, "llm.mlp_width": 4096}
PIECE = 64 << 20


def run(folder: Path, rounds: int) -> Table:
    """Time the two ways to place weights."""
    source, copied, plain = (folder / name for name in ("in_place", "copied", "plain"))
    weights, count = write_random(source / "model.safetensors")
    settings = [word for key, value in SIZES.items() for word in ("--set", f"{key}={value}")]
    lmmc = [sys.executable, "-m", "lmmdsl", "compile", SPEC, "--to", "onnx", *settings]
    lmmc += ["--weights", weights, "-o"]
    result = interleave(
        [
            Command("cp", ["cp", weights, plain / "copy"], prepare=lambda: _empty(plain)),
            Command("in place", [*lmmc, source]),
            Command("copied", [*lmmc, copied], prepare=lambda: _empty(copied)),
        ],
        rounds,
    )
    for leftover in (copied, plain):
        shutil.rmtree(leftover)
    place, copy = result.median("in place"), result.ratios("cp", "copied")
    memory = {name: result.peak(name) for name in result.samples}
    rows = [
        ["`cp` of the weights", seconds(result.median("cp")), "1", f"{memory['cp']:.0f} MiB", ""],
        [
            "ONNX package, weights in place",
            seconds(place),
            str(result.ratios("cp", "in place")),
            f"{memory['in place']:.0f} MiB",
            goal(place <= 1 and memory["in place"] <= 100, "<= 1 s, <= 100 MiB"),
        ],
        [
            "ONNX package, weights copied",
            seconds(result.median("copied")),
            str(copy),
            f"{memory['copied']:.0f} MiB",
            goal(copy.middle >= 0.8 and memory["copied"] <= 150, ">= 0.8 of `cp`, <= 150 MiB"),
        ],
    ]
    size = weights.stat().st_size / 2**30
    note = (
        f"LLaVA-v1.5's spec with a smaller language model: {count / 1e6:.0f} M parameters, {size:.1f} GiB of float32."
        f" Whole processes. {disturbed(result.disturbed, result.taken)}"
    )
    header = ("what", "time", "speed relative to `cp`", "peak memory", "goal")
    return Table("2-writing", "Writing ONNX", header, rows, note)


def _empty(folder: Path) -> None:
    """A new folder, and nothing of earlier samples left to be written to the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()


def write_random(path: Path) -> tuple[Path, int]:
    """A checkpoint of random bytes with the spec's own names; gives its path and number of parameters."""
    program = lmmdsl.load(SPEC, set=SIZES).program
    shapes = {name: [axis.value for axis in param.shape] for name, param in program.root.params()}
    count = sum(math.prod(shape) for shape in shapes.values())
    if path.exists():
        return path, count
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    piece = os.urandom(PIECE)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for start in range(0, end, PIECE):
            file.write(piece[: min(PIECE, end - start)])
    return path, count
