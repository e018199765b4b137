"""Run this package with NumPy and ONNX Runtime alone.

`python run.py --ids 1,9,9 --pixels image.npy` prints the ids that follow a prompt. The file
holds prepared images, float [images, channels, height, width]; in the ids an image is its placeholder
id, once per visual token (both are in `lmmdsl_package.json`).
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
        self.folder, self.options = Path(folder), options
        self.facts = json.loads((self.folder / "lmmdsl_package.json").read_text(encoding="utf-8"))
        self.float = np.dtype(self.facts["dtype"])
        self.sessions: dict[str, Any] = {}

    def run(self, component: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Results of one graph by name; inputs that it does not have are left out, a cache not given is empty."""
        if component not in self.sessions:
            file = str(self.folder / self.facts["components"][component]["file"])
            known = set(ort.get_available_providers())
            chosen = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
            self.sessions[component] = ort.InferenceSession(file, self.options, providers=chosen)
        session = self.sessions[component]
        wanted = [item.name for item in session.get_inputs() if item.name in feeds]
        given = {name: _as_numbers(feeds[name]) for name in wanted}
        for item in session.get_inputs():
            if item.name.startswith("past_key_values.") and item.name not in given:
                batch, (_, heads, _, size) = len(next(iter(given.values()))), item.shape
                given[item.name] = np.zeros((batch, heads, 0, size), self.float)
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(names, given), strict=True))

    def encode(self, pixels: Array | list[Array]) -> Array:
        """Images [I, C, H, W], or a list of them where sizes may differ, to features [tokens, width]."""
        if isinstance(pixels, list):
            return np.concatenate([self.encode(images) for images in pixels])
        pixels = np.asarray(pixels, self.float)
        return self.run("vision_encoder", {"pixel_values": pixels})["image_features"]

    def embed(
        self, ids: Array, features: Array | None = None, rows: Mapping[str, Array] | None = None
    ) -> Array:
        """Ids [B, T] to embeddings [B, T, width], features in the places of the placeholders.

        `rows` are those of further visual values, by name: [rows, width].
        """
        none = np.zeros((0, self.facts["width"]), self.float)
        feeds = dict.fromkeys(self.facts["components"]["embed_tokens"]["inputs"], none)
        feeds |= {"input_ids": ids, **(rows or {})}
        if features is not None:
            feeds["image_features"] = features
        return self.run("embed_tokens", feeds)["inputs_embeds"]

    def read(self, embeds: Array, mask: Array) -> dict[str, Array]:
        """What a decoder knows of prompts [B, N] that an encoder read: more inputs of `decode`."""
        memory = self.run("encoder_model", {"inputs_embeds": embeds, "attention_mask": mask})
        return {
            "encoder_hidden_states": memory["last_hidden_state"],
            "encoder_attention_mask": mask,
        }

    def arrange(self, ids: Array | None, mask: Array) -> dict[str, Array]:
        """What decoding must know of all tokens so far: ids and mask [B, past + T]."""
        if "arrange" not in self.facts["components"]:
            counts, steps = np.cumsum(mask, axis=1) - 1, np.arange(mask.shape[1])
            return {"position_ids": np.where(mask, counts, steps)}
        if ids is None:
            raise ValueError("what this model knows of a token depends on ids: give all of them")
        return self.run("arrange", {"input_ids": ids, "attention_mask": mask})

    def decode(
        self,
        embeds: Array,
        mask: Array,
        cache: Mapping[str, Array] | None = None,
        *,
        ids: Array | None = None,
        features: Array | None = None,
        memory: Mapping[str, Array] | None = None,
        keep: int = 1,
    ) -> tuple[Array, dict[str, Array]]:
        """Logits of the last `keep` positions (0: all) and the cache.

        `mask` is [B, past + T], and so are `ids`, which a package with `arrange` needs. `features` go in where the
        decoder's layers read them; without images a blank one stands in. `memory` is what `read` gave. What follows
        from these two alone is computed where there is no cache yet, and is then a part of it.
        """
        batch, length = embeds.shape[:2]
        feeds = {"inputs_embeds": embeds, "attention_mask": mask, **(memory or {})}
        if self.facts["blank_image"]:
            blank = np.zeros(self.facts["blank_image"], self.float)
            feeds["image_features"] = blank if features is None else features
        feeds["num_logits_to_keep"] = np.array(keep, np.int64)
        for name, fact in self.arrange(ids, mask).items():  # of a row, or of every token
            feeds[name] = fact if name in self.facts["per_row"] else fact[..., -length:]
        for layer, slot in enumerate(self.facts["cache"]):
            for part in ("key", "value"):
                empty = np.zeros((batch, slot["heads"], 0, slot[part]), self.float)
                past = cache[f"present.{layer}.{part}"] if cache else empty
                feeds[f"past_key_values.{layer}.{part}"] = past
        kept = self._kept(feeds, cache)
        results = self.run("decoder_model_merged", feeds | kept)
        return results.pop("logits"), results | kept

    def _kept(
        self, feeds: Mapping[str, Array], cache: Mapping[str, Array] | None
    ) -> dict[str, Array]:
        """What the decoder keeps from its first step on."""
        if "decoder_memory" not in self.facts["components"]:
            return {}
        if cache is None:
            return self.run("decoder_memory", feeds)
        return {name: cache[name] for name in self.facts["components"]["decoder_memory"]["outputs"]}

    def generate(
        self,
        ids: Array,
        pixels: Array | None = None,
        *,
        limit: int = 20,
        mask: Array | None = None,
        rows: Mapping[str, Array] | None = None,
    ) -> Array:
        """Greedy continuation of (or answer to) ids [B, T]: new ids [B, <= limit]; ended rows are padded."""
        mask = np.ones_like(ids) if mask is None else mask
        answers = "encoder_model" in self.facts["components"]
        if not answers:
            ids, mask = pad_in_front(ids, mask)
        features = None if pixels is None else self.encode(pixels)
        embeds, memory = self.embed(ids, features, rows), None
        if answers:  # they have a beginning of their own
            memory, start = self.read(embeds, mask), self.facts["start_id"] or 0
            ids = np.full((len(ids), 1), start, np.int64)
            embeds, mask = self.embed(ids), np.ones_like(ids)
        stop, pad = self.facts["eos_id"], self.facts["pad_id"]
        cache: dict[str, Array] | None = None
        done, made = np.zeros(len(ids), bool), np.zeros((len(ids), 0), np.int64)
        while made.shape[1] < limit and not done.all():
            logits, cache = self.decode(
                embeds, mask, cache, ids=ids, features=features, memory=memory
            )
            new = np.where(done, (stop if pad is None else pad) or 0, logits[:, -1].argmax(-1))
            done, made = done | (new == stop), np.concatenate([made, new[:, None]], axis=1)
            embeds, ids = self.embed(new[:, None]), np.concatenate([ids, new[:, None]], axis=1)
            mask = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)
        return made


def pad_in_front(ids: Array, mask: Array) -> tuple[Array, Array]:
    """Move the padding of prompts [B, T] to the front, so that all of them end together."""
    order = np.argsort(mask != 0, axis=1, kind="stable")
    return np.take_along_axis(ids, order, 1), np.take_along_axis(mask, order, 1)


def _as_numbers(value: Array) -> Array:
    """Masks go in as whole numbers."""
    return value.astype(np.int64) if value.dtype == np.bool_ else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", required=True, help="prompt, as ids with commas between them")
    parser.add_argument("--pixels", type=Path, help=".npy file with prepared images")
    parser.add_argument("--tokens", type=int, default=20, help="most ids to append")
    args = parser.parse_args()
    prompt = np.array([[int(word) for word in args.ids.split(",")]], np.int64)
    images = np.load(args.pixels) if args.pixels else None
    print(*Package().generate(prompt, images, limit=args.tokens)[0], sep=",")
