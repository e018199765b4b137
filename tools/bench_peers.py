"""Graphs of the same model by other exporters, made once: they need packages of their own and minutes of time.

The packages go into a folder, so that installing them changes nothing else.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench_timing import ROOT, launch

PACKAGES = ("onnxruntime-genai==0.18.0", "onnxscript==0.7.2", "onnx-ir==1.1.0", "ml_dtypes")
GENAI = "onnxruntime-genai builder"
TRACED = "transformers exporter"
EXPORT = """
import sys, torch
from transformers import AutoModelForCausalLM
from transformers.exporters import OnnxConfig, OnnxExporter
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
ids = torch.arange(5, 22)[None]
sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
made = OnnxExporter().export_for_generation(model, sample, OnnxConfig(dynamic=True), multi_token_decode=True)
made.save_pretrained(sys.argv[2])
"""


def make_peers(model: Path, folder: Path, scope: str) -> dict[str, Path]:
    """Graphs by exporter; those that are not there yet are made when `scope` is `all`."""
    files = {
        GENAI: folder / "genai" / "model.onnx",
        TRACED: folder / "traced" / "decode.onnx",
    }
    for name, file in files.items():
        if not _figures(file).exists() and scope == "all":
            _make(name, model / "model", file.parent, folder / "packages")
    return {name: file for name, file in files.items() if _figures(file).exists()}


def export_figures(file: Path) -> Mapping[str, float]:
    """Seconds and memory of the export."""
    figures: Mapping[str, float] = json.loads(_figures(file).read_text("utf-8"))
    return figures


def _figures(file: Path) -> Path:
    return file.with_name("figures.json")


def _make(name: str, model: Path, target: Path, packages: Path) -> None:
    if not packages.exists():
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", packages]
        subprocess.run([*install, *PACKAGES], check=True)
    commands = {
        GENAI: [
            "-m", "onnxruntime_genai.models.builder", "-i", model, "-o", target, "-p", "fp32", "-e", "cpu",
            "-c", target / "cache", "--extra_options", "prune_lm_head=true",
        ],
        TRACED: ["-c", EXPORT, model, target],
    }  # fmt: skip
    path = f"{packages}:{ROOT}"
    figures = launch([sys.executable, *commands[name]], PYTHONPATH=path)
    (target / "figures.json").write_text(json.dumps(figures), "utf-8")
