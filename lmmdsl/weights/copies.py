"""Tensors that a checkpoint holds under a second name of a parameter: they must equal the first.

Takes the copies that a `Coverage` lists. Files are read block by block, so memory stays small.
"""

from collections.abc import Iterator

from lmmdsl.diag.codes.weights import CheckpointMismatch
from lmmdsl.weights.header import Tensor
from lmmdsl.weights.plan import WeightsFailed

BLOCK = 1 << 20  # bytes


def check_copies(copies: tuple[tuple[Tensor, Tensor], ...]) -> None:
    """Refuse copies that differ, of which one would be lost unseen.

    Raises:
        WeightsFailed: some differ (E0706, with all of them).
    """
    wrong = tuple(
        (other.name, f"equal to {first.name}", "different")
        for other, first in copies
        if not _are_equal(other, first)
    )
    if wrong:
        raise WeightsFailed([CheckpointMismatch(file=copies[0][0].file.name, misshapen=wrong)])


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(left == right for left, right in zip(_blocks(one), _blocks(other), strict=True))


def _blocks(tensor: Tensor) -> Iterator[bytes]:
    with tensor.file.open("rb") as file:
        file.seek(tensor.offset)
        for start in range(0, tensor.size, BLOCK):
            yield file.read(min(BLOCK, tensor.size - start))
