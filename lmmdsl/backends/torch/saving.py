"""Save a module's weights under the names of a checkpoint scheme, the way back of `load_weights`.

Files are written beside their final names and renamed only when all of them are whole, the index
last: a failed run leaves the previous checkpoint as it was.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from lmmdsl.backends.torch.weights import locate, pack, program_of, read_whole, value_at
from lmmdsl.diag.codes.weights import BadCheckpoint, CheckpointMismatch
from lmmdsl.weights.coverage import cover
from lmmdsl.weights.map import Source, WeightMap
from lmmdsl.weights.plan import WeightsFailed, open_checkpoint, weight_map

STEM = "model"
INDEX = f"{STEM}.safetensors.index.json"


class Maker(Protocol):
    """Gives the values of a tensor when it is written."""

    def __call__(self) -> Tensor:
        """Make the tensor."""


@dataclass(frozen=True, slots=True)
class Item:
    """A tensor to write: its name, its size in bytes, and where its values come from."""

    name: str
    size: int
    make: Maker


def save_weights(
    net: nn.Module,
    path: "str | PathLike[str]",
    naming: str | None = None,
    *,
    shard_size: int | None = None,
    carry: "str | PathLike[str] | None" = None,
) -> tuple[Path, ...]:
    """Save a module's weights.

    Args:
        net: a module made from a spec.
        path: a `.safetensors` file, or a folder, which gets `model.safetensors` or shards and index.
        naming: the scheme of the names; None for the module's own.
        shard_size: bytes of a shard at most (a larger tensor gets one of its own); folders only.
        carry: a checkpoint of the same scheme to copy tensors from that the model never uses, so that
            the result is complete for other software.

    Returns:
        The files written, the index last.

    Raises:
        WeightsFailed: the names do not work out, `carry` does not fit, or a file cannot be written.
    """
    names = weight_map(program_of(net), naming)
    items = tuple(_items(net, names))
    if carry is not None:
        items += tuple(_carried(names, frozenset(locate(net)), carry))
    target = Path(path)
    try:
        if target.suffix == ".safetensors":
            return _write(target.parent, {target.name: items})
        written = _write(target, _split(items, shard_size))
        _remove_stale(target, written)
        return written
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"cannot be written: {reason.lower()}"
        raise WeightsFailed([BadCheckpoint(file=str(target), problem=problem)]) from error


def _items(net: nn.Module, names: WeightMap) -> Iterator[Item]:
    places = locate(net)
    holders: dict[str, list[str]] = {}
    for path, source in names.sources.items():
        holders.setdefault(source.names[0], []).append(path)
    for name, paths in holders.items():
        if not any(path in places for path in paths):
            continue
        absent = tuple(path for path in paths if path not in places)
        if absent:
            raise WeightsFailed([CheckpointMismatch(file=name, missing=absent)])
        values = [value_at(net, places[path]) for path in paths]
        sources = [names.sources[path] for path in paths]
        size = sum(value.numel() * value.element_size() for value in values)
        yield Item(name, size, partial(_stored, values, sources))


def _stored(values: list[Tensor], sources: list[Source]) -> Tensor:
    source = sources[0]
    whole = values[0]
    if source.rows is not None:
        shape = source.shape[::-1] if source.transposed else source.shape
        parts = [(s.rows, v) for s, v in zip(sources, values, strict=True) if s.rows is not None]
        whole = pack(parts, shape)
    whole = whole[0] if source.squeezed else whole
    stored = whole.t() if source.transposed else whole
    return stored.contiguous()


def _carried(
    names: WeightMap, used: frozenset[str], carry: "str | PathLike[str]"
) -> Iterator[Item]:
    coverage = cover(names, used, open_checkpoint(carry))
    if coverage.unexpected or coverage.misshapen:
        raise WeightsFailed([coverage.mismatch(Path(carry).name)])
    for stored in (*coverage.unused, *coverage.ignored):
        yield Item(stored.name, stored.size, partial(read_whole, stored))


def _split(items: tuple[Item, ...], shard_size: int | None) -> dict[str, tuple[Item, ...]]:
    groups: list[list[Item]] = [[]]
    room = limit = shard_size or sum(item.size for item in items) + 1
    for item in items:
        if item.size > room and groups[-1]:
            groups.append([])
            room = limit
        groups[-1].append(item)
        room -= item.size
    if len(groups) == 1:
        return {f"{STEM}.safetensors": tuple(groups[0])}
    count = len(groups)
    return {
        f"{STEM}-{index:05d}-of-{count:05d}.safetensors": tuple(group)
        for index, group in enumerate(groups, 1)
    }


def _write(folder: Path, shards: dict[str, tuple[Item, ...]]) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        for name, items in shards.items():
            with torch.no_grad():
                tensors = {item.name: item.make() for item in items}
                save_file(tensors, stage / name, metadata={"format": "pt"})
        written = list(shards)
        if len(shards) > 1:
            (stage / INDEX).write_text(_index(shards), encoding="utf-8")
            written.append(INDEX)
        return _commit(folder, stage, written)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _index(shards: dict[str, tuple[Item, ...]]) -> str:
    names = {item.name: file for file, items in shards.items() for item in items}
    total = sum(item.size for items in shards.values() for item in items)
    content = {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}
    return json.dumps(content, indent=2) + "\n"


def _commit(folder: Path, stage: Path, written: list[str]) -> tuple[Path, ...]:
    for name in written:
        (stage / name).chmod(0o666 & ~_umask())
        os.replace(stage / name, folder / name)
    return tuple(folder / name for name in written)


def _remove_stale(folder: Path, written: tuple[Path, ...]) -> None:
    # An index or shards of an earlier checkpoint would shadow or contradict the new files.
    shards = folder.glob(f"{STEM}-*-of-*.safetensors")
    for file in {*shards, folder / f"{STEM}.safetensors", folder / INDEX} - set(written):
        file.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
