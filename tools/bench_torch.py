"""The emitted PyTorch module against transformers, on the weights of a real language model."""

import shutil
import tempfile
from pathlib import Path

from bench_table import Table, disturbed, goal
from bench_timing import ENVIRONMENT, Round, Worker, interleave

NAMES = {
    "sdpa": "transformers, sdpa",
    "eager": "transformers, eager",
    "ours": "emitted module",
    "fused": "emitted at -O1",
    "packed": "the same, `optimize_for_cpu()`",
    "compiled": "-O1, `compile_step()`",
}
# Goals of decoding, by element kind, and of prefill, in relation to the faster of transformers' variants.
DECODE = {
    "float32": {"fused": 1.2, "packed": 1.7, "compiled": 3.0},
    "bfloat16": {"fused": 1.6, "packed": 2.1, "compiled": 3.0},
}
PREFILL = {"ours": 1.0, "fused": 1.0, "packed": 1.4}
PROMPT = 512


def run(model: Path, rounds: int, scope: str) -> Table:
    """Time all variants in both element kinds."""
    kinds = [kind for kind in NAMES if kind != "compiled" or scope == "all"]
    rows, notes = [], []
    for dtype in DECODE:
        # What an earlier run measured on a busy machine must not choose the kernels of this one.
        ENVIRONMENT["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="bench-")
        workers = {kind: _worker(model, kind, dtype) for kind in ("memory", *kinds)}
        result = interleave(list(workers.values()), rounds)
        rows += [_row(result, kind, dtype) for kind in kinds]
        notes.append(_note(result, workers, dtype))
        for worker in workers.values():
            worker.close()
        shutil.rmtree(ENVIRONMENT.pop("TORCHINDUCTOR_CACHE_DIR"))
    header = (
        "variant", "weights", "prefill, tokens/s", "against peer", "decode, tokens/s",
        "against peer", "of bandwidth", "goal",
    )  # fmt: skip
    note = (
        "SmolLM2-135M, 2 threads, prompt of 512 tokens, then 32 more, batch 1. The peer is the transformers variant"
        " that decodes faster. Bandwidth: how long it takes to read all weights once, measured in the same rounds. "
        + " ".join(notes)
    )
    return Table("3-torch", "Emitted PyTorch", header, rows, note)


def _worker(model: Path, kind: str, dtype: str) -> Worker:
    return Worker(kind, "bench_torch_worker.py", model, kind, dtype)


def _peer(result: Round) -> str:
    return min(("sdpa", "eager"), key=lambda kind: result.median(kind, "decode"))


def _row(result: Round, kind: str, dtype: str) -> list[str]:
    peer = _peer(result)
    prefill = result.ratios(peer, kind, "prefill")
    decode = result.ratios(peer, kind, "decode")
    goals = []
    if kind in PREFILL:
        goals.append(goal(prefill.middle >= PREFILL[kind], f"prefill >= {PREFILL[kind]}"))
    if kind in DECODE[dtype]:
        wanted = DECODE[dtype][kind]
        goals.append(goal(decode.middle >= wanted, f"decode >= {wanted}"))
    return [
        NAMES[kind],
        dtype,
        f"{PROMPT / result.median(kind, 'prefill'):.0f}",
        str(prefill),
        f"{1 / result.median(kind, 'decode'):.1f}",
        str(decode),
        f"{result.ratios('memory', kind, 'decode').middle:.2f}",
        "; ".join(goals),
    ]


def _note(result: Round, workers: dict[str, Worker], dtype: str) -> str:
    wanted = workers["sdpa"].facts["tokens"]
    same = [kind for kind in workers if workers[kind].facts["tokens"] == wanted]
    named = ", ".join(NAMES[kind] for kind in same if kind != "sdpa")
    text = f"{dtype}: the same tokens as transformers' sdpa from: {named or 'none'};"
    if "compiled" in workers:
        text += f" compiling took {workers['compiled'].facts['warm_up']:.0f} s;"
    return f"{text} {disturbed(result.disturbed, result.taken)}"
