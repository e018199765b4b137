"""One decoder graph in ONNX Runtime: opens it, then reads a prompt and decodes, once per line of input.

    python tools/bench_runtime_worker.py DECODER [EMBEDDING]

Takes graphs of three exporters: inputs are told apart by their names. Where keys and values may share one buffer
(GroupQueryAttention), past and present are bound to the same memory; otherwise a step's present is the next one's past.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from bench_timing import serve

PROMPT, NEW = 512, 32
ROOM = 768  # slots of a shared buffer


class Graph:
    """A decoder, with the graph that embeds its tokens where that is a graph of its own."""

    def __init__(self, decoder: Path, embedding: Path | None) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        providers = ["CPUExecutionProvider"]
        self.session = ort.InferenceSession(str(decoder), options, providers=providers)
        self.embedding = embedding and ort.InferenceSession(
            str(embedding), options, providers=providers
        )
        self.inputs = {item.name: item for item in self.session.get_inputs()}
        outputs = [item.name for item in self.session.get_outputs()]
        self.logits = outputs[0]
        self.past = [name for name in self.inputs if "past" in name]
        self.present = [_present(name) for name in self.past]
        assert set(self.present) == set(outputs[1:])
        self.shared = _is_grouped(decoder)

    def run(self, ids: np.ndarray, past: list[Any], seen: int) -> tuple[int, list[Any]]:
        """Feed tokens `[1, T]` after `seen` others; gives the next one and the cache."""
        binding, total = self.session.io_binding(), seen + ids.shape[1]
        for name, value in self._tokens(ids, seen, total).items():
            binding.bind_cpu_input(name, value)
        for name, value in zip(self.past, past, strict=True):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(self.logits, "cpu")
        for name, value in zip(self.present, past, strict=True):
            if self.shared:
                binding.bind_ortvalue_output(name, value)
            else:
                binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding)
        results = binding.get_outputs()
        return int(results[0].numpy()[0, -1].argmax()), past if self.shared else results[1:]

    def empty(self) -> list[Any]:
        """A cache without tokens."""
        length = ROOM if self.shared else 0
        shapes = [(1, _size(self.inputs[name], 1), length, 64) for name in self.past]
        return [ort.OrtValue.ortvalue_from_numpy(np.zeros(s, np.float32)) for s in shapes]

    def _tokens(self, ids: np.ndarray, seen: int, total: int) -> dict[str, np.ndarray]:
        positions = np.arange(seen, total, dtype=np.int64)[None]
        mask = np.ones((1, total), np.int64)
        feeds = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
        feeds["num_logits_to_keep"] = np.array(1, np.int64)
        if self.embedding:
            none = np.zeros((0, self.inputs["inputs_embeds"].shape[2]), np.float32)
            given = {"input_ids": ids, "image_features": none}
            feeds["inputs_embeds"] = self.embedding.run(None, given)[0]
        return {name: value for name, value in feeds.items() if name in self.inputs}


def _present(name: str) -> str:
    """The output that becomes this input."""
    if name.startswith("input."):
        return name.replace("input.", "output.", 1)
    return name.replace("past_key_values", "present")


def _size(item: Any, axis: int) -> int:
    return int(item.shape[axis])


def _is_grouped(file: Path) -> bool:
    model = onnx.load(file, load_external_data=False)
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    return any(node.op_type == "GroupQueryAttention" for node in nodes)


def main() -> None:
    """Open, warm up, serve."""
    start = time.perf_counter()
    graph = Graph(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    opened = time.perf_counter() - start
    prompt = np.random.default_rng(0).integers(1000, 40000, (1, PROMPT), dtype=np.int64)

    def sample() -> dict[str, Any]:
        begin = time.perf_counter()
        token, cache = graph.run(prompt, graph.empty(), 0)
        first = time.perf_counter()
        tokens = [token]
        for step in range(NEW):
            token, cache = graph.run(np.array([[token]], np.int64), cache, PROMPT + step)
            tokens.append(token)
        last = time.perf_counter()
        return {"prefill": first - begin, "decode": (last - first) / NEW, "tokens": tokens}

    serve(sample, tokens=sample()["tokens"], opened=opened)


if __name__ == "__main__":
    main()
