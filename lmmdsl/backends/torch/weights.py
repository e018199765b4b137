"""Weights in and out of a live module, through the spec's own weight maps.

Takes a module that `build_module` made (it carries its `Program` as `lmm_program`) and safetensors
files. Loading is total: every tensor of the checkpoint is used exactly once and every parameter gets
one, or nothing is touched. It goes file by file, so memory holds the module and one tensor.
A module whose parallel projections were packed says so in `lmm_packed`: path of the packed
parameter -> paths of the parameters whose rows it holds, in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from os import PathLike
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from lmmdsl.graph.program import Program
from lmmdsl.weights.copies import check_copies
from lmmdsl.weights.coverage import Load
from lmmdsl.weights.header import Tensor as Stored
from lmmdsl.weights.map import Rows, Source
from lmmdsl.weights.plan import plan_load, plan_part


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter of the program lives in the module: all of `owner`, or `count` rows of it."""

    owner: str
    start: int = 0
    count: int | None = None


def load_weights(
    net: nn.Module,
    path: "str | PathLike[str]",
    naming: str | None = None,
    dtype: torch.dtype | None = None,
    device: "torch.device | str | None" = None,
    part: str | None = None,
    prefix: str = "",
) -> nn.Module:
    """Load a checkpoint into a module made from a spec.

    Args:
        net: the module, also one on the meta device, whose parameters are then made here.
        path: a safetensors file, a folder of shards, or an index.
        naming: the scheme of the checkpoint's names (`weights NAME ...` in the spec); None when
            they are the module's own.
        dtype: element kind to store; None keeps the module's.
        device: where to put the parameters; None keeps them (the CPU for a module on meta).
        part: load only this top-level part, by the names that its block gives under `naming`.
        prefix: what stands before these names in the file, such as `vision_model`; tensors that
            stand elsewhere are left alone.

    Returns:
        The same module.

    Raises:
        WeightsFailed: the files are damaged (E0707), or a tensor is missing, left over or of another
            shape (E0706, with all of them); there is no such part (E0206), or its block has no such
            scheme (E0703). The module is then unchanged.
    """
    places = locate(net)
    program, used = program_of(net), places.keys()
    if part is None:
        coverage = plan_load(program, path, naming, used)
    else:
        coverage = plan_part(program, path, part, naming or "", prefix, used)
    check_copies(coverage.copies)
    targets = _Targets(net, dtype, torch.device(device) if device is not None else None)
    ordered = sorted(coverage.loads, key=lambda load: (str(load.tensor.file), load.tensor.offset))
    with torch.no_grad():
        for file, loads in groupby(ordered, key=lambda load: load.tensor.file):
            stream: Any
            with safe_open(file, framework="pt") as stream:
                for load in loads:
                    targets.put(places[load.path], _read(stream, load))
    return net


def program_of(net: nn.Module) -> Program:
    """The program that a module was made from."""
    program = getattr(net, "lmm_program", None)
    if not isinstance(program, Program):
        raise TypeError(f"{type(net).__name__} was not made from a spec")
    return program


def locate(net: nn.Module) -> dict[str, Place]:
    """Where the module keeps each parameter of the program, in the module's order.

    Raises:
        ValueError: it does not keep them any more (after `optimize_for_cpu`, say).
    """
    packed: Mapping[str, tuple[str, ...]] = getattr(net, "lmm_packed", {})
    rows = dict(program_of(net).root.params())
    places: dict[str, Place] = {}
    for owner in net.state_dict(keep_vars=True):
        start = 0
        for path in packed.get(owner, ()):
            count = rows[path].shape[0].value
            places[path] = Place(owner, start, count)
            start += count
        if owner not in packed:
            places[owner] = Place(owner)
    lost = [path for path in rows if path not in places]
    if lost:
        raise ValueError(
            f"{type(net).__name__} no longer holds `{lost[0]}` and {len(lost) - 1} more"
        )
    return {path: place for path, place in places.items() if path in rows}


def value_at(net: nn.Module, place: Place) -> Tensor:
    """The tensor at a place: a parameter, or a view of its rows."""
    head, _, name = place.owner.rpartition(".")
    tensor: Tensor = getattr(net.get_submodule(head), name).detach()
    return tensor if place.count is None else tensor.narrow(0, place.start, place.count)


class _Targets:
    """Writes values into a module, making parameters where it has none yet."""

    def __init__(
        self, net: nn.Module, dtype: torch.dtype | None, device: torch.device | None
    ) -> None:
        self._net = net
        self._dtype = dtype
        self._device = device
        self._made: set[str] = set()

    def put(self, place: Place, value: Tensor) -> None:
        """Copy a value to its place."""
        if place.owner not in self._made:
            self._make(place.owner)
            self._made.add(place.owner)
        value_at(self._net, place).copy_(value)

    def _make(self, owner: str) -> None:
        head, _, name = owner.rpartition(".")
        module = self._net.get_submodule(head)
        old: Tensor = getattr(module, name)
        dtype = self._dtype or old.dtype
        device = self._device or (torch.device("cpu") if old.is_meta else old.device)
        if (old.dtype, old.device) == (dtype, device):
            return
        new = torch.empty_like(old, dtype=dtype, device=device)
        if isinstance(old, nn.Parameter):
            setattr(module, name, nn.Parameter(new, requires_grad=old.requires_grad))
        else:
            module.register_buffer(name, new)


def _read(stream: Any, load: Load) -> Tensor:
    source, name = load.source, load.tensor.name
    rows = source.rows
    if rows and rows.groups == 1 and not source.transposed:
        part: Tensor = stream.get_slice(name)[rows.start : rows.start + rows.count]
        return part
    return take(stream.get_tensor(name), source)


def take(stored: Tensor, source: Source) -> Tensor:
    """The parameter inside a stored tensor: a view of it where the rows are in one piece."""
    value = stored.t() if source.transposed else stored
    value = value[None] if source.squeezed else value
    if source.rows is None:
        return value
    groups = _grouped(value, source.rows.groups)
    return groups[:, source.rows.start : source.rows.start + source.rows.count].flatten(0, 1)


def pack(parts: list[tuple[Rows, Tensor]], shape: tuple[int, ...]) -> Tensor:
    """Put parameters side by side into the tensor that stores them; `shape` is `[rows, ...]`."""
    groups = parts[0][0].groups
    first = parts[0][1]
    stored = torch.empty(shape, dtype=first.dtype, device=first.device)
    split = stored.view(groups, -1, *shape[1:])  # [groups, rows of a group, ...]
    for rows, value in parts:
        split[:, rows.start : rows.start + rows.count] = _grouped(value, groups)
    return stored


def _grouped(value: Tensor, groups: int) -> Tensor:
    return value.reshape(groups, -1, *value.shape[1:])  # [groups, rows of a group, ...]


def read_whole(stored: Stored) -> Tensor:
    """All of a stored tensor."""
    stream: Any
    with safe_open(stored.file, framework="pt") as stream:
        tensor: Tensor = stream.get_tensor(stored.name)
        return tensor
