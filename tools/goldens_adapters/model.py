"""A compiled spec with a case's weights, on PyTorch or on ONNX Runtime, behind one interface.

Arrays go in and out as NumPy. `taps` ask for what a part gave, by the part's path. Axes: I images, N visual tokens,
B batch, T tokens, D width, V vocabulary.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
import torch

import lmmdsl
from lmmdsl.backends.onnx.export import build_components, embed_weights, export
from lmmdsl.backends.onnx.frame import Options
from lmmdsl.backends.onnx.protos import FLOATS
from lmmdsl.backends.onnx.run import Package
from lmmdsl.backends.torch.generation import place_tokens
from lmmdsl.backends.torch.weights import load_weights, read_whole, take
from lmmdsl.diag.sink import Sink
from lmmdsl.graph.program import Program
from lmmdsl.weights.copies import check_copies
from lmmdsl.weights.coverage import Coverage, cover
from lmmdsl.weights.map import map_program
from lmmdsl.weights.plan import WeightsFailed, open_checkpoint

Array = np.ndarray
Taps = Mapping[str, str]
Outputs = dict[str, Array]


class Runner(Protocol):
    """One backend with one model."""

    def encode(self, pixels: Array, taps: Taps) -> Outputs:
        """Images [I, C, H, W] to `result` [I, N, D]."""

    def embed(
        self, ids: Array, features: Array | None, rows: Mapping[str, Array] | None = None
    ) -> Array:
        """Ids [B, T] to embeddings [B, T, D], with features [I, N, D] and further rows at their placeholders."""

    def decode(
        self,
        embeds: Array,
        mask: Array,
        taps: Taps,
        *,
        ids: Array | None = None,
        features: Array | None = None,
    ) -> Outputs:
        """Embeddings [B, T, D], mask and (where facts follow from them) ids [B, T] to `logits` [B, T, V].

        Layers that read images take their features [I, N, D].
        """

    def facts(self, ids: Array, mask: Array) -> Outputs:
        """What decoding is told of tokens [B, T], by name."""

    def read(self, embeds: Array, mask: Array) -> Array:
        """What the encoder of an encoder-decoder gives for prompts [B, N]: [B, N, D]."""

    def answer(self, ids: Array, real: Array, memory: Array, mask: Array) -> Array:
        """Logits [B, T, V] of answers [B, T] (`real` is 0 at padding) to prompts [B, N] that were read."""

    def greedy_answer(self, ids: Array, mask: Array, count: int) -> Array:
        """The most likely answers to prompts [B, N], behind their start token: [B, 1 + count]."""

    def greedy(self, ids: Array, count: int) -> Array:
        """The most likely ids after prompts [B, T] without padding, through the cache: [B, count]."""

    def flow(self, name: str, inputs: Mapping[str, Array]) -> Outputs:
        """An explicit flow of the model: its outputs by name."""


def compile_text(text: str, settings: Mapping[str, Any]) -> lmmdsl.Spec:
    """Check a spec given as text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "golden.lmm"
        file.write_text(text, encoding="utf-8")
        return lmmdsl.load(file, set=settings)


def find_naming(program: Program, weights: Path) -> tuple[str, Coverage]:
    """The scheme of the spec that fits a checkpoint.

    Raises:
        WeightsFailed: none does; the report is about the one that comes nearest.
    """
    checkpoint = open_checkpoint(weights)
    used = dict(program.root.params())
    found = {
        item.scheme: cover(map_program(program, item.scheme, Sink()), used, checkpoint)
        for item in program.weights
    }
    best = min(found, key=lambda scheme: len(found[scheme].missing) + len(found[scheme].unexpected))
    if not found[best].fits:
        raise WeightsFailed([found[best].mismatch(weights.name)])
    check_copies(found[best].copies)
    return best, found[best]


def positions_of(mask: Array) -> Array:
    """Position ids [B, T] that emitted modules give tokens without further facts."""
    real = torch.from_numpy(mask)
    return place_tokens(real, real, None, None)[0].numpy()


class TorchRunner:
    """The emitted module."""

    def __init__(self, spec: lmmdsl.Spec, weights: Path) -> None:
        torch.set_num_threads(1)
        naming, _ = find_naming(spec.program, weights)
        self.net = spec.to_torch().eval()
        load_weights(self.net, weights, naming)

    def _call(
        self, method: str, inputs: Mapping[str, Array | None], taps: Taps
    ) -> tuple[Any, Outputs]:
        seen: Outputs = {}
        hooks = [
            self.net.get_submodule(path).register_forward_hook(_keep(seen, label))
            for label, path in taps.items()
        ]
        tensors = {n: None if a is None else torch.from_numpy(a) for n, a in inputs.items()}
        try:
            with torch.inference_mode():
                return getattr(self.net, method)(**tensors), seen
        finally:
            for hook in hooks:
                hook.remove()

    def encode(self, pixels: Array, taps: Taps) -> Outputs:
        """See `Runner`."""
        result, seen = self._call("encode", {"pixel_values": pixels}, taps)
        return {"result": result.numpy(), **seen}

    def embed(
        self, ids: Array, features: Array | None, rows: Mapping[str, Array] | None = None
    ) -> Array:
        """See `Runner`."""
        inputs = {"input_ids": ids} | ({} if features is None else {"features": features})
        inputs |= rows or {}
        result, _ = self._call("embed", inputs, {})
        return result.numpy()

    def decode(
        self,
        embeds: Array,
        mask: Array,
        taps: Taps,
        *,
        ids: Array | None = None,
        features: Array | None = None,
    ) -> Outputs:
        """See `Runner`."""
        inputs = {"inputs_embeds": embeds, "attention_mask": mask.astype(bool)}
        inputs |= {"position_ids": positions_of(mask)} if ids is None else self.facts(ids, mask)
        if features is not None:
            inputs[self.net.FEATURES] = features
        hidden, seen = self._call("decode", inputs, taps)
        logits, _ = self._call("logits", {"hidden": hidden.numpy()}, {})
        return {"logits": logits.numpy(), **seen}

    def facts(self, ids: Array, mask: Array) -> Outputs:
        """See `Runner`."""
        if not self.net.READS_IDS:
            return {"position_ids": positions_of(mask)}
        found = self.net.facts(torch.from_numpy(ids), torch.from_numpy(mask), ids.shape[1])
        return {name: fact.numpy() for name, fact in found.items()}

    def read(self, embeds: Array, mask: Array) -> Array:
        """See `Runner`."""
        inputs = {"inputs_embeds": embeds, "attention_mask": mask.astype(bool)}
        return self._call("read", inputs, {})[0].numpy()

    def answer(self, ids: Array, real: Array, memory: Array, mask: Array) -> Array:
        """See `Runner`."""
        inputs = {
            "inputs_embeds": self.embed(ids, None),
            "attention_mask": real.astype(bool),
            "encoder_hidden_states": memory,
            "encoder_attention_mask": mask.astype(bool),
        }
        hidden, _ = self._call("decode", inputs, {})
        return self._call("logits", {"hidden": hidden.numpy()}, {})[0].numpy()

    def greedy_answer(self, ids: Array, mask: Array, count: int) -> Array:
        """See `Runner`."""
        prompts = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return self.net.generate(**prompts, max_new_tokens=count, stop_ids=()).numpy()

    def greedy(self, ids: Array, count: int) -> Array:
        """See `Runner`."""
        made = self.net.generate(torch.from_numpy(ids), max_new_tokens=count, stop_ids=())
        return made[:, -count:].numpy()

    def flow(self, name: str, inputs: Mapping[str, Array]) -> Outputs:
        """See `Runner`."""
        result, _ = self._call(name, inputs, {})
        graph = self.net.lmm_program.root.methods[name]
        results = result if isinstance(result, tuple) else (result,)
        return {out: value.numpy() for (out, _), value in zip(graph.outputs, results, strict=True)}


def _keep(seen: Outputs, label: str) -> Any:
    def hook(_module: Any, _inputs: Any, result: Any) -> None:
        seen[label] = (result[0] if isinstance(result, tuple) else result).numpy()

    return hook


class OnnxRunner:
    """The exported package; parts are tapped in a flat copy of its graphs."""

    def __init__(self, spec: lmmdsl.Spec, weights: Path) -> None:
        self._program = spec.program
        _, self._coverage = find_naming(spec.program, weights)
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = 1
        self._options.log_severity_level = 3
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        export(spec.program, folder, loads=self._coverage.loads)
        self._package = Package(folder, options=self._options)

    def encode(self, pixels: Array, taps: Taps) -> Outputs:
        """See `Runner`."""
        features = self._package.encode(pixels)  # [I*N, D]
        found = {"result": features.reshape(len(pixels), -1, features.shape[-1])}
        return found | self._tapped("vision_encoder", {"pixel_values": pixels}, taps)

    def embed(
        self, ids: Array, features: Array | None, rows: Mapping[str, Array] | None = None
    ) -> Array:
        """See `Runner`."""
        flat = None if features is None else features.reshape(-1, features.shape[-1])
        more = {name: row.reshape(-1, row.shape[-1]) for name, row in (rows or {}).items()}
        return self._package.embed(ids, flat, more)

    def decode(
        self,
        embeds: Array,
        mask: Array,
        taps: Taps,
        *,
        ids: Array | None = None,
        features: Array | None = None,
    ) -> Outputs:
        """See `Runner`."""
        mask = mask.astype(np.int64)
        flat = None if features is None else features.reshape(-1, features.shape[-1])
        logits, cache = self._package.decode(embeds, mask, ids=ids, features=flat, keep=0)
        past = {
            name.replace("present", "past_key_values"): value[:, :, :0]
            for name, value in cache.items()
        }
        feeds = {
            "inputs_embeds": embeds,
            "attention_mask": mask,
            "num_logits_to_keep": np.array(0, np.int64),
            **self._package.arrange(ids, mask),
        }
        if features is not None:
            feeds["image_features"] = flat
        return {"logits": logits} | self._tapped("decoder_model_merged", feeds | past, taps)

    def facts(self, ids: Array, mask: Array) -> Outputs:
        """See `Runner`."""
        return self._package.arrange(ids, mask.astype(np.int64))

    def read(self, embeds: Array, mask: Array) -> Array:
        """See `Runner`."""
        return self._package.read(embeds, mask.astype(np.int64))["encoder_hidden_states"]

    def answer(self, ids: Array, real: Array, memory: Array, mask: Array) -> Array:
        """See `Runner`."""
        known = {"encoder_hidden_states": memory, "encoder_attention_mask": mask.astype(np.int64)}
        embeds = self._package.embed(ids)
        return self._package.decode(embeds, real.astype(np.int64), memory=known, keep=0)[0]

    def greedy_answer(self, ids: Array, mask: Array, count: int) -> Array:
        """See `Runner`."""
        self._package.facts["eos_id"] = None  # nothing ends an answer
        made = self._package.generate(ids, mask=mask.astype(np.int64), limit=count)
        start = np.full_like(ids[:, :1], self._package.facts["start_id"] or 0)
        return np.concatenate([start, made], axis=1)

    def greedy(self, ids: Array, count: int) -> Array:
        """See `Runner`."""
        made: list[Array] = []
        cache, mask, embeds = None, np.ones_like(ids), self.embed(ids, None)
        for _ in range(count):
            logits, cache = self._package.decode(embeds, mask, cache, ids=ids)
            made.append(logits[:, -1].argmax(-1))
            embeds = self._package.embed(made[-1][:, None])
            ids = np.concatenate([ids, made[-1][:, None]], axis=1)
            mask = np.concatenate([mask, np.ones_like(mask[:, :1])], axis=1)
        return np.stack(made, axis=1)

    def flow(self, name: str, inputs: Mapping[str, Array]) -> Outputs:
        """See `Runner`."""
        return self._package.run(name, dict(inputs))

    def _tapped(self, component: str, feeds: Mapping[str, Array], taps: Taps) -> Outputs:
        if not taps:
            return {}
        options = Options(floats=FLOATS["float32"], flat=True, cached=True)
        parts = build_components(self._program.root, options)
        part = next(part for part in parts if part.name == component)
        arrays = {
            x.path: take(read_whole(x.tensor), x.source).numpy() for x in self._coverage.loads
        }
        embed_weights(part, arrays, element=options.floats)
        values = {tap.path: tap.values[0] for tap in part.taps if tap.method == "forward"}
        known = {
            item.name: item for item in (*part.model.graph.value_info, *part.model.graph.output)
        }
        for path in taps.values():
            if values[path] not in {item.name for item in part.model.graph.output}:
                part.model.graph.output.append(known[values[path]])
        session = ort.InferenceSession(part.model.SerializeToString(), self._options)
        wanted = {item.name for item in session.get_inputs()}
        feeds = {name: value for name, value in feeds.items() if name in wanted}
        results = session.run([values[path] for path in taps.values()], feeds)
        return dict(zip(taps, results, strict=True))


RUNNERS = {"torch": TorchRunner, "onnx": OnnxRunner}
