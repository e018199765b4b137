"""Run this package with NumPy and ONNX Runtime alone.

    python run.py --ids 1,32000,32000,13 --pixels image.npy --tokens 20

`--pixels` holds prepared images as float [images, channels, height, width]; in `--ids` every image is
its placeholder id, once per visual token. Both facts, and how to prepare an image, are in
`lmmdsl_package.json`. The ids that the model appends are printed.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

Array = np.ndarray[Any, Any]


class Package:
    """The graphs of a folder, each opened when it is first needed."""

    def __init__(self, folder: Path = Path(__file__).parent, options: Any = None) -> None:
        self.folder = Path(folder)
        self.facts = json.loads((self.folder / "lmmdsl_package.json").read_text(encoding="utf-8"))
        self.float = np.dtype(self.facts["dtype"])
        self._options = options
        self._sessions: dict[str, Any] = {}

    def run(self, component: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Results of one graph by name; inputs that it does not have are left out."""
        if component not in self._sessions:
            file = str(self.folder / self.facts["components"][component]["file"])
            known = ("CUDAExecutionProvider", "CPUExecutionProvider")
            chosen = [name for name in known if name in ort.get_available_providers()]
            self._sessions[component] = ort.InferenceSession(file, self._options, providers=chosen)
        session = self._sessions[component]
        names = {item.name for item in session.get_inputs()}
        results = session.run(None, {k: v for k, v in feeds.items() if k in names})
        return dict(zip([item.name for item in session.get_outputs()], results, strict=True))

    def encode(self, pixels: Array) -> Array:
        """Images [I, C, H, W] to features [tokens, width]."""
        feeds = {"pixel_values": np.asarray(pixels, self.float)}
        return self.run("vision_encoder", feeds)["image_features"]

    def embed(self, ids: Array, features: Array | None = None) -> Array:
        """Ids [B, T] to embeddings [B, T, width], features in the places of the placeholders."""
        if features is None:
            features = np.zeros((0, self.facts["width"]), self.float)
        feeds = {"input_ids": np.asarray(ids, np.int64), "image_features": features}
        return self.run("embed_tokens", feeds)["inputs_embeds"]

    def decode(
        self, embeds: Array, mask: Array, cache: Mapping[str, Array] | None = None, *, keep: int = 1
    ) -> tuple[Array, dict[str, Array]]:
        """Logits of the last `keep` positions (0: all) and the cache; `mask` [B, past + T]."""
        batch, length = embeds.shape[:2]
        positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)[:, -length:]
        feeds = {"inputs_embeds": embeds, "attention_mask": mask, "position_ids": positions}
        feeds["num_logits_to_keep"] = np.array(keep, np.int64)
        for layer, slot in enumerate(self.facts["cache"]):
            for part in ("key", "value"):
                empty = np.zeros((batch, slot["heads"], 0, slot[part]), self.float)
                past = cache[f"present.{layer}.{part}"] if cache else empty
                feeds[f"past_key_values.{layer}.{part}"] = past
        results = self.run("decoder_model_merged", feeds)
        return results.pop("logits"), results

    def generate(
        self, ids: Any, pixels: Array | None = None, *, limit: int = 20, mask: Array | None = None
    ) -> Array:
        """Greedy continuation of ids [B, T]: new ids [B, <= limit]; rows stop at the end token."""
        ids = np.asarray(ids, np.int64)
        mask = np.ones_like(ids) if mask is None else np.asarray(mask, np.int64)
        embeds = self.embed(ids, None if pixels is None else self.encode(pixels))
        cache: dict[str, Array] | None = None
        made: list[Array] = []
        stop = self.facts["tokens"].get("eos", -1)
        done = np.zeros(len(ids), bool)
        while len(made) < limit and not done.all():
            logits, cache = self.decode(embeds, mask, cache)
            made.append(np.where(done, stop, logits[:, -1].argmax(-1)))
            done |= made[-1] == stop
            embeds = self.embed(made[-1][:, None])
            mask = np.concatenate([mask, np.ones_like(mask[:, :1])], axis=1)
        return np.stack(made, axis=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ids", required=True, help="prompt, as ids with commas")
    parser.add_argument("--pixels", type=Path, help=".npy file with prepared images")
    parser.add_argument("--tokens", type=int, default=20, help="most ids to append")
    given = parser.parse_args()
    images = np.load(given.pixels) if given.pixels else None
    prompt = [[int(word) for word in given.ids.split(",")]]
    print(*Package().generate(prompt, images, limit=given.tokens)[0], sep=",")
