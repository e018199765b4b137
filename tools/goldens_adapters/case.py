"""A golden case: a folder with case.json, weights.safetensors and io.safetensors.

`config` holds the sizes, `in.*` and `out.*` of io.safetensors what the reference read and gave. An output passes
when |got - want| <= atol + rtol * |want| everywhere that it is compared; integers and booleans must be equal.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

Array = np.ndarray


class BadCase(Exception):
    """A folder is no golden case, or no adapter knows it."""


@dataclass(frozen=True)
class Case:
    """One case, read."""

    folder: Path
    facts: dict[str, Any]
    inputs: dict[str, Array]
    outputs: dict[str, Array]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def system(self) -> str:
        """Which system it was made with."""
        return str(self.facts["system"])

    @property
    def part(self) -> str:
        """Which part of the system it covers."""
        return str(self.facts["part"])

    @property
    def weights(self) -> Path:
        """The reference's weights under the reference's names."""
        return self.folder / "weights.safetensors"

    @property
    def optional(self) -> frozenset[str]:
        """Outputs that an adapter may leave out."""
        names = self.facts.get("optional_outputs") or ()
        return frozenset(name.removeprefix("out.") for name in names)

    def config(self, section: str) -> dict[str, Any]:
        """Sizes of one part of the system."""
        return dict(self.facts["config"].get(section, {}))

    def weights_shape(self, name: str) -> tuple[int, ...]:
        """Shape of one of the reference's weights."""
        with safe_open(self.weights, "np") as file:
            return tuple(file.get_slice(name).get_shape())

    def weights_names(self) -> list[str]:
        """Names of the reference's weights."""
        with safe_open(self.weights, "np") as file:
            return list(file.keys())

    def tolerance(self, output: str) -> tuple[float, float]:
        """Absolute and relative tolerance of an output."""
        atol = self.facts.get("atol_per_output", {}).get(output, self.facts.get("atol", 0.0))
        return float(atol), float(self.facts.get("rtol", 0.0))

    def where(self, output: str) -> Array | None:
        """Positions of an output that count (a mask of its leading axes), None for all."""
        marks = self.facts.get("valid_positions") or {}
        marks = marks | {
            k.removeprefix("out."): v for k, v in (self.facts.get("compare_where") or {}).items()
        }
        if output not in marks:
            return None
        kind, _, name = marks[output].partition(".")
        return (self.inputs if kind == "in" else self.outputs)[name].astype(bool)


def read_case(folder: Path) -> Case:
    """Read a case; raises `BadCase`."""
    try:
        facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "io.safetensors")
    except (OSError, ValueError) as error:
        raise BadCase(f"{folder} is no golden case: {error}") from None
    missing = {"system", "part", "config"} - set(facts)
    if missing or not (folder / "weights.safetensors").exists():
        raise BadCase(
            f"{folder} is no golden case: lacks {', '.join(missing) or 'weights.safetensors'}"
        )
    split: dict[str, dict[str, Array]] = {"in": {}, "out": {}}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        split.setdefault(kind, {})[rest] = value
    return Case(folder, facts, split["in"], split["out"])


@dataclass(frozen=True)
class Verdict:
    """How one output of one backend compares. `relative` is the error over the largest value wanted."""

    case: str
    backend: str
    output: str
    passed: bool
    absolute: float = 0.0
    relative: float = 0.0
    atol: float = 0.0
    rtol: float = 0.0
    problem: str = ""


def kept(value: Array, mask: Array) -> Array:
    """What a mask marks of the leading axes of a value, or of its first axes and its last: [B, T] of [B, 2, T]."""
    if value.shape[: mask.ndim] != mask.shape:
        value = np.moveaxis(value, -1, mask.ndim - 1)
    return value[mask]


def compare(case: Case, backend: str, output: str, got: Array | None) -> Verdict:
    """Compare one output with the reference."""
    want = case.outputs[output]
    atol, rtol = case.tolerance(output)
    if got is None:
        return Verdict(
            case.name, backend, output, False, atol=atol, rtol=rtol, problem="not computed"
        )
    if got.shape != want.shape:
        problem = f"shape {list(got.shape)}, not {list(want.shape)}"
        return Verdict(case.name, backend, output, False, atol=atol, rtol=rtol, problem=problem)
    mask = case.where(output)
    if mask is not None:
        got, want = kept(got, mask), kept(want, mask)
    if not np.issubdtype(want.dtype, np.floating):
        wrong = int((got.astype(np.int64) != want.astype(np.int64)).sum())
        problem = f"{wrong} of {want.size} differ" if wrong else ""
        return Verdict(case.name, backend, output, not wrong, float(wrong), 0.0, problem=problem)
    with np.errstate(invalid="ignore"):
        gap = np.where(got == want, 0, np.abs(got.astype(np.float64) - want.astype(np.float64)))
    finite = np.isfinite(gap)
    if not finite.all():
        problem = f"{int((~finite).sum())} of {gap.size} are not finite"
        return Verdict(case.name, backend, output, False, atol=atol, rtol=rtol, problem=problem)
    passed = bool((gap <= atol + rtol * np.abs(want)).all())
    largest = float(gap.max(initial=0.0))
    size = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    scale = float(size) or 1.0
    return Verdict(case.name, backend, output, passed, largest, largest / scale, atol, rtol)
