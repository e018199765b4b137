"""Write the data file of a package.

Takes a plan; streams every parameter from its safetensors file to its place. Equal element kinds are
copied inside the kernel; others are converted in pieces, so memory depends neither on the size of a
model nor on that of a tensor. Only a tensor that the checkpoint stores transposed is turned.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lmmdsl.backends.onnx.protos import NUMPY
from lmmdsl.backends.onnx.scope import OnnxError
from lmmdsl.backends.onnx.weights import BYTES, DATA_FILE, KINDS, Job, Plan

PIECE = 1 << 30  # bytes per system call
BUFFER = 1 << 20  # bytes, where copying is left to us
CUT_SHORT = "a weight file ended early: it changed while it was read"
CHUNK = 1 << 20  # elements converted at a time
REFUSED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTSOCK, errno.EXDEV}
# A bfloat16 is the upper half of a float32.
READ: dict[str, Any] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}

Array = np.ndarray[Any, Any]
KernelCopy = Callable[[int, int, int, int], int]

# Where the platform has them: the first works within a file system, the second between two.
KERNEL_COPIES: tuple[KernelCopy, ...] = tuple(
    call
    for name, call in (
        ("copy_file_range", lambda i, o, start, count: os.copy_file_range(i, o, count, start)),
        ("sendfile", lambda i, o, start, count: os.sendfile(o, i, start, count)),
    )
    if hasattr(os, name)
)


def write_data(folder: Path, plan: Plan) -> None:
    """Write the data file of a plan into a folder, if it needs one.

    Raises:
        OnnxError: too little room, or a value that the element kind cannot hold.
        OSError: a file cannot be read or written.
    """
    if not plan.jobs:
        return
    free = shutil.disk_usage(folder).free
    if free < plan.size:
        raise OnnxError(f"the weights need {plan.size} bytes, but only {free} are free")
    with ExitStack() as stack, (folder / DATA_FILE).open("wb", buffering=0) as target:
        files: dict[Path, BinaryIO] = {}
        _reserve(target, plan.size)
        for job in plan.jobs:
            file = job.stored.tensor.file
            if file not in files:
                files[file] = stack.enter_context(file.open("rb", buffering=0))
            _write(job, files[file], target)


def _reserve(target: BinaryIO, size: int) -> None:
    # Extents that are allocated at once make the copy about 1.5 times as fast on ext4.
    if hasattr(os, "posix_fallocate") and size:
        os.posix_fallocate(target.fileno(), 0, size)
    else:
        target.truncate(size)


def _write(job: Job, source: BinaryIO, target: BinaryIO) -> None:
    target.seek(job.offset)
    stored = job.stored
    if stored.transposed or KINDS[stored.tensor.dtype] != job.element:
        for piece in _turned(job) if stored.transposed else _pieces(job, source):
            _put(target, _convert(piece, job).data.cast("B"))
        return
    for start, length in stored.ranges():
        copy_range(source, start, target, length)


def copy_range(source: BinaryIO, start: int, target: BinaryIO, length: int) -> None:
    """Copy bytes to the target's position, inside the kernel where it does that between files."""
    done = 0
    for call in KERNEL_COPIES:
        done += _ask_kernel(call, source, start + done, target, length - done)
    source.seek(start + done)
    while done < length:
        piece = source.read(min(BUFFER, length - done))
        if not piece:
            raise OnnxError(CUT_SHORT)
        _put(target, memoryview(piece))
        done += len(piece)


def _ask_kernel(
    call: KernelCopy, source: BinaryIO, start: int, target: BinaryIO, length: int
) -> int:
    """Bytes copied: all of them, or 0 where the kernel does not copy between these two files."""
    done = 0
    while done < length:
        try:
            sent = call(source.fileno(), target.fileno(), start + done, min(PIECE, length - done))
        except OSError as error:
            if done or error.errno not in REFUSED:
                raise
            return 0
        if not sent:
            raise OnnxError(CUT_SHORT)
        done += sent
    return done


def _get(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if not data:
        raise OnnxError(CUT_SHORT)
    return data


def _put(target: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[target.write(data) :]


def _pieces(job: Job, source: BinaryIO) -> Iterator[Array]:
    """Elements of the stored kind, in order."""
    width = BYTES[job.stored.tensor.dtype]
    for start, length in job.stored.ranges():
        source.seek(start)
        for done in range(0, length, CHUNK * width):
            wanted = min(CHUNK * width, length - done)
            data = bytearray()
            while len(data) < wanted:
                data += _get(source, wanted - len(data))
            yield np.frombuffer(data, READ[job.stored.tensor.dtype])


def _turned(job: Job) -> Iterator[Array]:
    """Rows of a tensor that is stored as columns."""
    tensor = job.stored.tensor
    columns = np.memmap(
        tensor.file, READ[tensor.dtype], mode="r", offset=tensor.offset, shape=tensor.shape
    )
    step = max(1, CHUNK // max(1, tensor.shape[0]))
    for low, high in job.stored.rows:
        for start in range(low, high, step):
            yield np.ascontiguousarray(columns[:, start : min(high, start + step)].T)


def _convert(piece: Array, job: Job) -> Array:
    kind = job.stored.tensor.dtype
    if KINDS[kind] == job.element:
        return piece
    if kind == "BF16":
        piece = (piece.astype(np.uint32) << 16).view(np.float32)
    try:
        with np.errstate(over="raise"):
            return np.ascontiguousarray(piece, NUMPY[job.element])
    except FloatingPointError:
        name = np.dtype(NUMPY[job.element]).name
        raise OnnxError(f"{job.path}: a value is too large for {name}") from None
