"""Our graphs in ONNX Runtime against those of two other exporters, and how long exporting takes."""

import sys
from pathlib import Path

from bench_peers import GENAI, TRACED, export_figures, make_peers
from bench_table import Table, disturbed, goal, seconds
from bench_timing import ROOT, Round, Worker, interleave, launch

SPEC = ROOT / "tools" / "smollm2.lmm"
PROFILES = ("std", "ort", "base")
PROMPT = 512
# (peer, prefill, decode) to reach at least.
GOALS = {"std": (TRACED, 1.2, 1.25), "ort": (GENAI, 1.1, 0.95), "base": ("", 0.0, 0.0)}
LEAST = 0.85  # of what `ort` reaches, for `std`


def run(model: Path, folder: Path, rounds: int, scope: str) -> Table:
    """Time all graphs."""
    peers = make_peers(model, folder / "peers", scope)
    exported = {name: export_figures(file) for name, file in peers.items()}
    workers = {name: Worker(name, "bench_runtime_worker.py", file) for name, file in peers.items()}
    for profile in PROFILES:
        target = folder / "runtime" / profile
        exported[profile] = export(model, target, profile)
        graphs = (target / f"{name}.onnx" for name in ("decoder_model_merged", "embed_tokens"))
        workers[profile] = Worker(profile, "bench_runtime_worker.py", *graphs)
    result = interleave(list(workers.values()), rounds)
    wanted = workers[PROFILES[0]].facts["tokens"]
    same = [name for name, worker in workers.items() if worker.facts["tokens"] == wanted]
    for worker in workers.values():
        worker.close()
    rows = [_row(result, name, exported[name], list(peers)) for name in workers]
    note = (
        "SmolLM2-135M in float32, 2 threads, bound inputs and outputs, prompt of 512 tokens, then 32 more, batch 1;"
        " ours include the graph that embeds tokens. Export: the whole process, one run, weights included (ours:"
        f" copied, and a vision encoder). The same 33 tokens from: {', '.join(same)}. "
        f"{disturbed(result.disturbed, result.taken)}"
    )
    header = ["graph", "export", "memory", "prefill, tokens/s", "decode, tokens/s"]
    header += [f"{what} against the {peer}" for peer in peers for what in ("prefill", "decode")]
    return Table("4-runtime", "ONNX Runtime", [*header, "goal"], rows, note)


def export(model: Path, target: Path, profile: str) -> dict[str, float]:
    """Compile with weights; gives seconds and memory."""
    weights = model / "whole.safetensors"
    command = [sys.executable, "-m", "lmmdsl", "compile", SPEC, "--to", "onnx", "-o", target]
    return launch([*command, "--weights", weights, "--naming", "hf", "--profile", profile])


def _row(result: Round, name: str, export: "dict[str, float]", peers: list[str]) -> list[str]:
    against = [
        str(result.ratios(peer, name, key)) for peer in peers for key in ("prefill", "decode")
    ]
    return [
        f"ours, `{name}`" if name in PROFILES else name,
        seconds(export["seconds"]),
        f"{export['mib']:.0f} MiB",
        f"{PROMPT / result.median(name, 'prefill'):.0f}",
        f"{1 / result.median(name, 'decode'):.1f}",
        *against,
        _goals(result, name),
    ]


def _goals(result: Round, name: str) -> str:
    if name not in GOALS:
        return ""
    peer, prefill, decode = GOALS[name]
    cells = []
    if peer in result.samples:
        for key, least in (("prefill", prefill), ("decode", decode)):
            cells.append(
                goal(result.ratios(peer, name, key).middle >= least, f"{key} >= {least} of {peer}")
            )
    if name == "std":
        cells.append(
            goal(result.ratios("ort", "std", "decode").middle >= LEAST, f"decode >= {LEAST} of ort")
        )
    return "; ".join(cells)
