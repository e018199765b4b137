"""Images on their way into an emitted model: what is taken, what is refused, and images of several sizes.

The emitter copies these functions into its file, as it does those of `runtime`.
Axes: B batch, T tokens, I images, C channels, H and W height and width in pixels, D width.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lmmdsl.backends.torch.runtime import KVCache


def encode_all(
    encode: Callable[[Tensor], Tensor],
    images: Tensor | list[Tensor],
    dtype: torch.dtype,
    *,
    axes: tuple[tuple[int, int], ...],
    takes: str,
) -> Tensor:
    """Features of images `[I, C, H, W]`, or of a list of them, where sizes may differ.

    Args:
        encode: gives features of images of one size.
        images: a list may hold single images `[C, H, W]` too.
        dtype: element kind of the parameters.
        axes: of each axis of an image its least size, and the step of larger ones or 0.
        takes: the shape of images in words.

    Returns:
        What `encode` gives; of a list all rows one behind the other, `[1, ..., rows, D]`.

    Raises:
        ValueError: images have another shape, or there are none.
    """
    if isinstance(images, Tensor):
        require_axes(images, axes, takes)
        return encode(images.to(dtype))
    if not images:
        raise ValueError("the list of images is empty; without images give none at all")
    batches = [image[None] if image.dim() == len(axes) else image for image in images]
    for batch in batches:
        require_axes(batch, axes, takes)
    each = [encode(batch.to(dtype)) for batch in batches]
    rows = torch.cat([features.flatten(0, -2) for features in each])  # [rows, D]
    return rows.view(*(1,) * (each[0].dim() - 2), *rows.shape)


def require_together(**inputs: Tensor | None) -> None:
    """Refuse some of the inputs that belong together without the others.

    Raises:
        ValueError: one of them is missing.
    """
    missing = [name for name, value in inputs.items() if value is None]
    if missing:
        given = [name for name in inputs if name not in missing]
        raise ValueError(f"{', '.join(given)} came without {', '.join(missing)}")


def require_axes(images: Tensor, axes: tuple[tuple[int, int], ...], takes: str) -> None:
    """Refuse images `[I, C, H, W]` of sizes that the encoder does not take.

    Raises:
        ValueError: the number of axes or a size differs.
    """
    fits = images.dim() == 1 + len(axes) and all(
        size == least or (step and size > least and (size - least) % step == 0)
        for size, (least, step) in zip(images.shape[1:], axes, strict=True)
    )
    if not fits:
        raise ValueError(f"images are {list(images.shape)}, but the encoder takes {takes}")


def require_size(pixel_values: Tensor, size: tuple[int, ...]) -> None:
    """Refuse images `[I, C, H, W]` of another size than the encoder takes.

    Raises:
        TypeError: images come one by one.
        ValueError: channels, height or width differ.
    """
    if not isinstance(pixel_values, Tensor):
        raise TypeError(f"images come as one tensor [I, {str(list(size))[1:]}")
    if tuple(pixel_values.shape[1:]) != size:
        raise ValueError(
            f"images are {list(pixel_values.shape)}, but the encoder takes [I, {str(list(size))[1:]}"
        )


def require_images(input_ids: Tensor, image_id: int) -> None:
    """Refuse prompts `[B, T]` that have placeholders but no images.

    Raises:
        ValueError: there are placeholders.
    """
    if torch.compiler.is_compiling() or input_ids.is_meta or input_ids.shape[1] == 1:
        return
    count = int((input_ids == image_id).sum())
    if count:
        raise ValueError(
            f"the prompt has {count} placeholders {image_id}, but nothing to fill them"
        )


def require_places(
    ids: Tensor, image_id: int, features: Tensor | None, cache: KVCache | None
) -> None:
    """Refuse images that layers read, `[I, ...]`, where the text has not as many places for them.

    `ids` `[B, S]` are all tokens so far. Behind a cache there may be images whose places are still to
    come, and features may be those of an earlier step.

    Raises:
        ValueError: images or places are too many.
    """
    if torch.compiler.is_compiling() or ids.is_meta:
        return
    begins = cache is None or (cache.position is None and not cache.length)
    if features is None and cache is not None:
        features = cache.source
    places, images = int((ids == image_id).sum()), 0 if features is None else len(features)
    if places > images or (begins and images > places):
        raise ValueError(f"{images} images for {places} placeholders {image_id} in the text")
