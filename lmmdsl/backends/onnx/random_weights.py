"""Random weights for trying a package: a safetensors file with a value for every parameter of a program.

The same seed gives the same bytes, whatever the order of parameters. Memory is bounded by the largest parameter.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lmmdsl.graph.ir import Param
from lmmdsl.graph.program import Program

SPREAD = 0.1  # around the ones and zeros that training starts from
Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
KINDS = {"float32": ("F32", 4), "float16": ("F16", 2)}


def write_random(program: Program, path: Path, *, seed: int, dtype: str) -> None:
    """Write random weights into a safetensors file, under the program's own names.

    Args:
        program: the checked program.
        path: the file to write.
        seed: of the weights.
        dtype: `float32` or `float16`.
    """
    params = dict(program.full.params())
    head = json.dumps(_header(params, dtype)).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, param in params.items():
            file.write(_values(name, param, seed).astype(dtype).tobytes())


def _header(params: Mapping[str, Param], dtype: str) -> dict[str, object]:
    kind, width = KINDS[dtype]
    facts: dict[str, object] = {}
    end = 0
    for name, param in params.items():
        start, end = end, end + width * math.prod(_shape(param))
        facts[name] = {"dtype": kind, "shape": _shape(param), "data_offsets": [start, end]}
    return facts


def _shape(param: Param) -> list[int]:
    return [size.value for size in param.shape]


def _values(name: str, param: Param, seed: int) -> Array:
    random = np.random.default_rng((seed, zlib.crc32(name.encode())))
    shape = _shape(param)
    values = random.standard_normal(shape, np.float32)
    if param.init == "normal":  # what goes in and what comes out of a matrix are alike in size
        return values * np.float32(math.prod(shape[1:]) ** -0.5)
    return values * np.float32(SPREAD) + np.float32(param.init == "ones")
