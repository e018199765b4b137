"""Headers of safetensors checkpoints: which tensors lie where, without reading any weight.

Takes a file, a folder of shards or an index; gives a `Checkpoint`: every tensor by name with its
file, element kind, shape and byte range. Files come from strangers: whatever is wrong with one, the
reader raises one `HeaderError`.
Invariant: the byte ranges of one file tile it exactly, as the format demands.

Source: format description of safetensors 0.5 (8-byte little-endian length, JSON header, data).
"""

import json
import math
import re
import stat
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

MAX_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself
MAX_RANK = 64
MAX_SIZE = 2**63  # no file is larger

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip

_SHARD = re.compile(r"(?P<stem>.*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.safetensors")


class HeaderError(Exception):
    """A checkpoint cannot be read. The caller turns it into a diagnostic.

    Attributes:
        file: the file that is wrong.
        problem: what is wrong with it.
    """

    def __init__(self, file: Path, problem: str) -> None:
        super().__init__(f"{file}: {problem}")
        self.file = file
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Tensor:
    """One stored tensor: `size` bytes, `offset` bytes from the start of `file`."""

    name: str
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that one or several files hold, in file order."""

    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: "str | PathLike[str]") -> Checkpoint:
    """Read the headers of a checkpoint.

    Args:
        path: a `.safetensors` file, an `index.json`, or a folder of either (an index goes first).

    Raises:
        HeaderError: the file, folder or index is missing, damaged or contradicts itself.
    """
    place = Path(path)
    if place.is_dir():
        return _read_folder(place)
    if place.name.endswith(".json"):
        return _read_index(place)
    tensors, metadata = read_header(place)
    return Checkpoint(tensors, (place,), metadata)


def read_header(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of one safetensors file.

    Raises:
        HeaderError: the file is missing, no regular file, or not well formed.
    """
    if file.suffix not in (".safetensors", ""):
        raise HeaderError(file, "weights are read from safetensors files only")
    total = _size(file)
    start, text = _read_text(file, total)
    header = _object(file, text)
    metadata = _metadata(file, header.pop("__metadata__", {}))
    tensors = {name: _tensor(file, name, entry, start, total) for name, entry in header.items()}
    _check_tiling(file, tensors, start, total)
    return tensors, metadata


def _size(file: Path) -> int:
    try:
        status = file.stat()
    except (OSError, ValueError) as error:
        raise HeaderError(file, _reason(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise HeaderError(file, "is not a regular file")
    return status.st_size


def _read_text(file: Path, total: int) -> tuple[int, bytes]:
    try:
        with file.open("rb") as stream:
            lead = stream.read(8)
            if len(lead) < 8:
                raise HeaderError(file, f"is no safetensors file: it has {total} bytes")
            (length,) = struct.unpack("<Q", lead)
            if length > MAX_HEADER:
                raise HeaderError(file, f"is no safetensors file: its header claims {length} bytes")
            if length > total - 8:
                raise HeaderError(
                    file, f"is cut short: the header needs {length} bytes, {total - 8} follow"
                )
            return 8 + length, stream.read(length)
    except OSError as error:
        raise HeaderError(file, _reason(error)) from None


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"cannot be read: {text.lower()}"


def _object(file: Path, text: bytes) -> dict[str, object]:
    try:
        found = json.loads(text.decode("utf-8"), object_pairs_hook=_pairs)
    except _RepeatedKeyError as error:
        raise HeaderError(file, f"names {error} twice") from None
    except (ValueError, RecursionError):
        raise HeaderError(file, "has a damaged header: not valid JSON") from None
    if not isinstance(found, dict):
        raise HeaderError(file, "has a damaged header: not a JSON object")
    return found


class _RepeatedKeyError(Exception):
    """A JSON object has the same key twice."""


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _RepeatedKeyError(next(repr(key) for key, count in counts.items() if count > 1))
    return found


def _metadata(file: Path, found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise HeaderError(file, "has a damaged header: `__metadata__` must map words to words")
    return found


def _tensor(file: Path, name: str, entry: object, start: int, total: int) -> Tensor:
    if not name or not name.isprintable():
        raise HeaderError(file, f"has a tensor with an unusable name: {name[:80]!a}")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(file, f"tensor `{name}` must have dtype, shape and data_offsets")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise HeaderError(file, f"tensor `{name}` has the unknown element kind {ascii(dtype)[:40]}")
    if not _naturals(shape) or len(shape) > MAX_RANK:
        raise HeaderError(file, f"tensor `{name}` has no valid shape")
    if not _naturals(span) or len(span) != 2 or span[0] > span[1]:
        raise HeaderError(file, f"tensor `{name}` has no valid byte range")
    low, high = span
    if start + high > total:
        missing = start + high - total
        raise HeaderError(file, f"is cut short: tensor `{name}` ends {missing} bytes past the end")
    bits = math.prod(shape) * BITS[dtype]
    if bits != 8 * (high - low):
        need = -(-bits // 8)
        raise HeaderError(
            file, f"tensor `{name}` {dtype}{shape} needs {need} bytes but has {high - low}"
        )
    return Tensor(name, file, dtype, tuple(shape), start + low, high - low)


def _naturals(found: object) -> bool:
    return isinstance(found, list) and all(type(n) is int and 0 <= n < MAX_SIZE for n in found)


def _check_tiling(file: Path, tensors: Mapping[str, Tensor], start: int, total: int) -> None:
    end = start
    for tensor in sorted(tensors.values(), key=lambda t: (t.offset, t.size)):
        if tensor.offset != end:
            what = "overlaps the one before it" if tensor.offset < end else "leaves a gap before it"
            raise HeaderError(file, f"the bytes of tensor `{tensor.name}`: {what}")
        end += tensor.size
    if end != total:
        raise HeaderError(file, f"has {total - end} bytes that belong to no tensor")


def _read_folder(folder: Path) -> Checkpoint:
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    main = folder / "model.safetensors.index.json"
    if main in indexes or len(indexes) == 1:
        return _read_index(main if main in indexes else indexes[0])
    if indexes:
        raise HeaderError(folder, f"has {len(indexes)} index files; name the one to read")
    files = tuple(sorted(folder.glob("*.safetensors")))
    if not files:
        raise HeaderError(folder, "has no .safetensors file")
    _check_shards(folder, [file.name for file in files])
    return _join(files)


def _check_shards(folder: Path, names: list[str]) -> None:
    present = set(names)
    for match in filter(None, map(_SHARD.fullmatch, names)):
        width, count = len(match["count"]), int(match["count"])
        if count > 100_000:
            raise HeaderError(folder / match[0], f"claims to be one of {count} shards")
        for index in range(1, count + 1):
            name = f"{match['stem']}-{index:0{width}d}-of-{match['count']}.safetensors"
            if name not in present:
                raise HeaderError(folder, f"lacks the shard {name}")


def _join(files: tuple[Path, ...]) -> Checkpoint:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files:
        found, words = read_header(file)
        for name in found.keys() & tensors.keys():
            raise HeaderError(file, f"tensor `{name}` is also in {tensors[name].file.name}")
        tensors.update(found)
        metadata.update(words)
    return Checkpoint(tensors, files, metadata)


def _read_index(index: Path) -> Checkpoint:
    named = dict(_index_names(index))
    files = tuple(index.parent / name for name in sorted(set(named.values())))
    for file in files:
        if not file.exists():
            raise HeaderError(index, f"names the missing file {file.name}")
    found = _join(files)
    for name, file_name in named.items():
        if name not in found.tensors or found.tensors[name].file.name != file_name:
            raise HeaderError(
                index, f"puts tensor `{name}` into {file_name}, which does not hold it"
            )
    for tensor in found.tensors.values():
        if tensor.name not in named:
            raise HeaderError(index, f"does not name tensor `{tensor.name}` of {tensor.file.name}")
    return found


def _index_names(index: Path) -> Iterator[tuple[str, str]]:
    if _size(index) > MAX_HEADER:
        raise HeaderError(index, "is too large for an index")
    try:
        content = _object(index, index.read_bytes())
    except OSError as error:
        raise HeaderError(index, _reason(error)) from None
    names = content.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise HeaderError(index, "has no `weight_map`")
    for name, file in names.items():
        # An index may only point at its neighbours: nothing outside the folder is opened.
        if not isinstance(file, str) or not re.fullmatch(r"[\w.+ -]+\.safetensors", file):
            raise HeaderError(
                index, f"tensor `{ascii(name)[1:-1]}` has no valid file name: {ascii(file)[:80]}"
            )
        yield name, file
