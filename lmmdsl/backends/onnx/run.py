"""Run this package with NumPy and ONNX Runtime; pictures need Pillow too.

`python run.py --ids 1,9,9 --image cat.png` prints the ids that follow a prompt. In the ids an image is its
placeholder id, once per visual token (`images` in `lmmdsl_package.json` says which and how many). Instead of
pictures `--pixels` takes a file with prepared images, float [images, channels, height, width].
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

Array = np.ndarray[Any, Any]
PREPARING = {
    "resize",
    "crop",
    "fit",
    "multiple",
    "filter",
    "mean",
    "std",
    "rescale",
}  # settings known


class Package:
    """The graphs of a folder, each opened when it is first needed."""

    def __init__(self, folder: Path = Path(__file__).parent, options: Any = None) -> None:
        self.folder, self.options = Path(folder), options
        self.facts = json.loads((self.folder / "lmmdsl_package.json").read_text(encoding="utf-8"))
        self.float = np.dtype(self.facts["dtype"])
        self.sessions: dict[str, Any] = {}

    def run(self, component: str, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Results of one graph by name; inputs that it does not have are left out, a cache not given is empty."""
        session = self._open(component)
        wanted = [item.name for item in session.get_inputs() if item.name in feeds]
        given = {name: _as_numbers(feeds[name]) for name in wanted}
        for item in session.get_inputs():
            if item.name.startswith("past_key_values.") and item.name not in given:
                batch, (_, heads, _, size) = len(next(iter(given.values()))), item.shape
                given[item.name] = np.zeros((batch, heads, 0, size), self.float)
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(names, given), strict=True))

    def _open(self, component: str) -> Any:
        if component not in self.sessions:
            for name in self.facts["weights"]:
                if not (self.folder / name).is_file():
                    raise FileNotFoundError(
                        f"{self.folder / name} is missing: the package has no weights;"
                        " compile it with --weights FILE --naming NAME, or to try it with --weights random"
                    )
            file = str(self.folder / self.facts["components"][component]["file"])
            known = set(ort.get_available_providers())
            chosen = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in known]
            self.sessions[component] = ort.InferenceSession(file, self.options, providers=chosen)
        return self.sessions[component]

    def prepare(self, picture: Path) -> Array:
        """A picture file as an image [1, C, H, W]: resized, cropped and normalised as `preprocess` says."""
        if not self.facts["preprocess"]:
            raise ValueError(
                "the package does not say how to prepare pictures; give prepared images"
            )
        settings = next(iter(self.facts["preprocess"].values()))
        return prepare_picture(picture, settings).astype(self.float)

    def encode(self, pixels: Array | list[Array]) -> Array:
        """Images [I, C, H, W], or a list of them where sizes may differ, to features [tokens, width]."""
        taken = self.facts["pixels"]
        if taken is None:
            raise ValueError("the model takes no images")
        if not isinstance(pixels, list):
            pixels = np.asarray(pixels, self.float)
            require_axes(pixels, taken)
            return self.run("vision_encoder", {"pixel_values": pixels})["image_features"]
        if not taken["any_size"]:
            raise TypeError(f"images come as one tensor {taken['takes']}")
        if not pixels:
            raise ValueError("the list of images is empty; without images give none at all")
        batches = [image[None] if image.ndim == len(taken["axes"]) else image for image in pixels]
        for batch in batches:
            require_axes(batch, taken)
        return np.concatenate([self.encode(batch) for batch in batches])

    def embed(
        self, ids: Array, features: Array | None = None, rows: Mapping[str, Array] | None = None
    ) -> Array:
        """Ids [B, T] to embeddings [B, T, width], features in the places of the placeholders.

        `rows` are those of further visual values, by name: [rows, width]. Refuses other numbers of rows
        than of placeholders, and ids that the vocabulary does not have.
        """
        given = {"image_features": features, **(rows or {})}
        self._require_known(ids)
        for span in self._spans:
            values = given.get(span["input"])
            if values is not None:
                require_rows(int((ids == span["id"]).sum()), len(values), span["features"])
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

    @property
    def _spans(self) -> list[dict[str, Any]]:
        """Images whose rows take the places of ids."""
        return [span for span in self.facts["images"] if span["enters"] == "text"]

    def _require_images(self, ids: Array, given: Mapping[str, Array | None]) -> None:
        """Refuse prompts [B, T] that have placeholders but no images; one token may be an earlier answer's."""
        for span in self._spans:
            found = int((ids == span["id"]).sum())
            if found and given.get(span["input"]) is None and ids.shape[1] > 1:
                raise ValueError(
                    f"the prompt has {found} placeholders {span['id']}, but nothing to fill them"
                )

    def _require_known(self, ids: Array) -> None:
        """Refuse ids that the vocabulary does not have; a placeholder may lie outside."""
        words, places = self.facts["vocab"], [span["id"] for span in self._spans]
        wrong = ids[((ids < 0) | (ids >= words)) & ~np.isin(ids, places)] if words else ids[:0]
        if wrong.size:
            raise IndexError(f"id {wrong[0]} is outside the vocabulary of {words} ids")

    def _require_places(self, ids: Array, features: Array | None) -> None:
        """Refuse images that layers read, where a prompt [B, T] has not as many places for them."""
        for span in self.facts["images"]:
            if span["enters"] != "layers":
                continue
            places, size = int((ids == span["id"]).sum()), int(np.prod(span["features"]))
            images = 0 if features is None else len(features) // size
            if places != images:
                raise ValueError(
                    f"{images} images for {places} placeholders {span['id']} in the text"
                )

    def _require_room(self, used: int, limit: int) -> None:
        """Refuse to generate more than the context holds behind `used` tokens."""
        context = self.facts["context"]
        if limit < 1:
            raise ValueError(f"limit is {limit}, but must be 1 or more")
        if context is not None and used + limit > context:
            raise ValueError(
                f"a prompt of {used} tokens and {limit} new ones do not fit"
                f" into a context of {context}"
            )

    def generate(
        self,
        ids: Array,
        pixels: Array | list[Array] | None = None,
        *,
        limit: int = 20,
        mask: Array | None = None,
        rows: Mapping[str, Array] | None = None,
    ) -> Array:
        """Greedy continuation of (or answer to) ids [B, T]: new ids [B, <= limit]; ended rows are padded."""
        mask = np.ones_like(ids) if mask is None else mask
        answers = "encoder_model" in self.facts["components"]
        if not answers:
            self._require_room(ids.shape[1], limit)
            ids, mask = pad_in_front(ids, mask)
        features = None if pixels is None else self.encode(pixels)
        self._require_images(ids, {"image_features": features, **(rows or {})})
        self._require_places(ids, features)
        embeds, memory = self.embed(ids, features, rows), None
        if answers:  # they have a beginning of their own
            memory, start = self.read(embeds, mask), self.facts["start_id"] or 0
            ids = np.full((len(ids), 1), start, np.int64)
            self._require_room(1, limit)
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


def require_axes(images: Array, taken: Mapping[str, Any]) -> None:
    """Refuse images [I, C, H, W] of sizes that the encoder does not take."""
    fits = images.ndim == 1 + len(taken["axes"]) and all(
        size == least or (step and size > least and (size - least) % step == 0)
        for size, (least, step) in zip(images.shape[1:], taken["axes"], strict=True)
    )
    if not fits:
        raise ValueError(f"images are {list(images.shape)}, but the encoder takes {taken['takes']}")


def require_rows(found: int, given: int, each: list[int] | None) -> None:
    """Refuse visual rows that are not as many as placeholders; `each` are the axes of an image's rows."""
    if found == given:
        return
    shape = (
        "" if each is None else f"{' x '.join(map(str, [given // int(np.prod(each)), *each]))} = "
    )
    raise ValueError(f"{shape}{given} visual rows for {found} placeholders")


def prepare_picture(picture: Path, settings: Mapping[str, Any]) -> Array:
    """A picture file as an image [1, C, H, W], float32."""
    try:
        pillow = importlib.import_module("PIL.Image")
    except ModuleNotFoundError:
        raise ValueError("pictures need Pillow: pip install pillow, or give --pixels") from None
    unknown = settings.keys() - PREPARING
    if unknown or settings.get("crop", "center") not in ("center", "none"):
        raise ValueError(f"cannot prepare pictures: {sorted(unknown) or ['crop']}; give --pixels")
    with pillow.open(picture) as file:
        image = file.convert("RGB")
    kind = getattr(pillow.Resampling, settings.get("filter", "bicubic").upper())
    size = target_size(image.height, image.width, settings)
    image = image.resize(size[::-1], kind) if size != (image.height, image.width) else image
    pixels = np.asarray(image, np.float32)  # [H, W, C]
    if settings.get("crop") == "center":
        pixels = _centre(pixels, settings["resize"])
    if "multiple" in settings:
        step = settings["multiple"]
        room = [(0, -size % step) for size in pixels.shape[:2]]
        pixels = np.pad(pixels, (*room, (0, 0)), constant_values=1)  # of 255: almost black
    pixels = pixels * np.float32(settings.get("rescale", 1 / 255))
    mean, std = (np.array(settings.get(k, v), np.float32) for k, v in (("mean", 0), ("std", 1)))
    return ((pixels - mean) / std).transpose(2, 0, 1)[None]


def target_size(height: int, width: int, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width that a picture is resized to."""
    if "fit" in settings:
        factor = min(
            1.0, *(b / size for b, size in zip(settings["fit"], (height, width), strict=True))
        )
        return max(1, int(height * factor)), max(1, int(width * factor))
    side = settings.get("resize")
    if side is None:
        return height, width
    if isinstance(side, list):
        return side[0], side[1]
    if settings.get("crop") != "center":  # whatever the shape of the picture
        return side, side
    short = min(height, width)
    return side * height // short, side * width // short


def _centre(pixels: Array, side: int | list[int]) -> Array:
    """The middle of pixels [H, W, C]."""
    height, width = side if isinstance(side, list) else (side, side)
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def _as_numbers(value: Array) -> Array:
    """Masks go in as whole numbers."""
    return value.astype(np.int64) if value.dtype == np.bool_ else value


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", required=True, help="prompt, as ids with commas between them")
    parser.add_argument("--image", type=Path, action="append", help="picture file; repeat for more")
    parser.add_argument("--pixels", type=Path, help=".npy file with prepared images")
    parser.add_argument("--tokens", type=int, default=20, help="most ids to append")
    args = parser.parse_args()
    if args.image and args.pixels:
        parser.error("give --image or --pixels, not both")
    try:
        prompt = np.array([[int(word) for word in args.ids.split(",")]], np.int64)
        package = Package()
        images = np.load(args.pixels) if args.pixels else None
        if args.image:
            images = [package.prepare(picture) for picture in args.image]
            if len({image.shape for image in images}) == 1:
                images = np.concatenate(images)
        print(*package.generate(prompt, images, limit=args.tokens)[0], sep=",")
    except (ValueError, IndexError, TypeError, OSError) as error:
        sys.exit(f"run.py: {error}")


if __name__ == "__main__":
    main()
