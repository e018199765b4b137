"""The results: tables of Markdown, kept per section, so that sections can be run one at a time."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "transformers", "onnx", "onnxruntime")
METHOD = (
    "Every ratio is to a peer in the same run: contenders take turns, each in its own process, on an otherwise idle"
    " machine; the figure is the median of the ratios of the rounds, with the smallest and largest in parentheses."
    " Above 1 is faster than the peer. Absolute figures only make the ratios readable."
)


@dataclass(frozen=True)
class Table:
    """One section.

    Attributes:
        name: key of the section, also its order.
        title: heading.
        header: names of the columns.
        rows: cells.
        note: what is said below.
    """

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str

    def markdown(self) -> str:
        """Heading, table and note."""
        lines = [" | ".join(self.header), " | ".join(["---"] * len(self.header))]
        lines += [" | ".join(row) for row in self.rows]
        table = "\n".join(f"| {line} |" for line in lines)
        return f"## {self.title}\n\n{table}\n\n{self.note}\n"


def keep(table: Table, folder: Path) -> None:
    """Store a section."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table.name}.json").write_text(json.dumps(asdict(table), indent=1), "utf-8")


def write_report(folder: Path, target: Path) -> None:
    """Join all stored sections to one page."""
    tables = [
        Table(**json.loads(path.read_text("utf-8"))) for path in sorted(folder.glob("*.json"))
    ]
    head = f"# Measured\n\nWritten by `python tools/bench.py --full`.\n{METHOD}\n\n{machine()}\n"
    target.write_text("\n".join([head, *(table.markdown() for table in tables)]), "utf-8")


def machine() -> str:
    """The machine and the versions, in words."""
    facts = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(": ")[2] for line in facts if line.startswith("model name")]
    kinds = ("avx512f", "avx512_bf16", "amx_bf16")
    flags = next((line.split() for line in facts if line.startswith("flags")), [])
    memory = int(Path("/proc/meminfo").read_text("utf-8").split()[1]) / 2**20
    wide = ", ".join(f"{'with' if kind in flags else 'without'} {kind}" for kind in kinds)
    installed = [f"Python {platform.python_version()}", *filter(None, map(_versioned, PACKAGES))]
    return (
        f"Machine: {len(models)} cores of {models[0] if models else platform.machine()} ({wide}),"
        f" {memory:.0f} GiB, no GPU. {', '.join(installed)}."
    )


def _versioned(package: str) -> str | None:
    try:
        return f"{package} {version(package).partition('+')[0]}"
    except PackageNotFoundError:
        return None


def goal(met: object, text: str) -> str:
    """A cell that says what was aimed at and whether it was reached."""
    return f"{text}: {'yes' if met else 'NO'}"


def seconds(value: float) -> str:
    """A duration."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def disturbed(count: int, taken: int) -> str:
    """What is said of samples that other processes disturbed."""
    return f"{taken} samples, {count} of them disturbed by other processes."
