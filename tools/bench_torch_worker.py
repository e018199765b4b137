"""One way to run the language model in PyTorch: loads it, then reads a prompt and decodes, once per line of input.

    python tools/bench_torch_worker.py MODEL KIND DTYPE

KIND: `sdpa` and `eager` are transformers' attentions; `ours` is the emitted module, `fused` the same at -O1, `packed`
and `compiled` are made from that; `memory` reads as many bytes as the model has weights.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from bench_timing import ROOT, serve
from transformers import AutoModelForCausalLM
from transformers.generation.streamers import BaseStreamer

import lmmdsl

PROMPT, NEW = 512, 32
WEIGHTS = 134_515_008  # parameters read for one token: the table of a tied model once
SPEC = ROOT / "tools" / "smollm2.lmm"


class Clock(BaseStreamer):
    """Notes when transformers has each token."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.tokens: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, then one token after the other."""
        self.times.append(time.perf_counter())
        self.tokens.append(int(value.flatten()[-1]))

    def end(self) -> None:
        """Do nothing."""


def prompt() -> torch.Tensor:
    """Ids `[1, 512]`, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1000, 40000, (1, PROMPT), generator=generator)


def theirs(model: Path, attention: str, dtype: torch.dtype) -> Any:
    """Gives a function that runs transformers once."""
    net = AutoModelForCausalLM.from_pretrained(
        model / "model", dtype=dtype, attn_implementation=attention
    ).eval()
    ids = prompt()
    options: dict[str, Any] = {"do_sample": False, "eos_token_id": [], "max_new_tokens": NEW + 1}
    mask = torch.ones_like(ids)

    def sample() -> dict[str, Any]:
        clock, start = Clock(), time.perf_counter()
        net.generate(ids, attention_mask=mask, streamer=clock, **options)
        return figures(start, clock.times[1:], clock.tokens[1:])

    return sample


def ours(model: Path, kind: str, dtype: torch.dtype) -> Any:
    """Gives a function that runs the emitted module once."""
    net = lmmdsl.load(SPEC).to_torch(dtype=dtype, level=0 if kind == "ours" else 1).eval()
    lmmdsl.load_weights(net, model / "whole.safetensors", naming="hf", dtype=dtype)
    if kind == "packed":
        net.optimize_for_cpu()
    if kind == "compiled":
        net.compile_step(options={"freezing": True, "max_autotune": True})
    ids = prompt()

    def sample() -> dict[str, Any]:
        times, tokens, start = [], [], time.perf_counter()
        for token in net.stream(ids, max_new_tokens=NEW + 1, stop_ids=()):
            times.append(time.perf_counter())
            tokens.append(int(token))
        return figures(start, times, tokens)

    return sample


def memory(dtype: torch.dtype) -> Any:
    """Gives a function that reads the bytes of all weights."""
    data = torch.ones(WEIGHTS * dtype.itemsize // 4)

    def sample() -> dict[str, Any]:
        start = time.perf_counter()
        for _ in range(5):
            data.sum()
        return {"prefill": 1.0, "decode": (time.perf_counter() - start) / 5}

    return sample


def figures(start: float, times: list[float], tokens: list[int]) -> dict[str, Any]:
    """Seconds until the first token, and per token after it."""
    return {
        "prefill": times[0] - start,
        "decode": (times[-1] - times[0]) / (len(times) - 1),
        "tokens": tokens,
    }


def main() -> None:
    """Load, warm up, serve."""
    model, kind, dtype = Path(sys.argv[1]), sys.argv[2], getattr(torch, sys.argv[3])
    torch.set_num_threads(2)
    if kind == "memory":
        sample = memory(dtype)
    elif kind in ("sdpa", "eager"):
        sample = theirs(model, kind, dtype)
    else:
        sample = ours(model, kind, dtype)
    start = time.perf_counter()
    first = sample()
    serve(sample, warm_up=time.perf_counter() - start, tokens=first.get("tokens"))


if __name__ == "__main__":
    main()
