"""Measure the compiler and what it makes against peers; write the table that the README quotes.

    python tools/bench.py                       short sections
    python tools/bench.py --full                also what takes minutes to prepare
    python tools/bench.py --only commands       one section; the others keep their last figures

Sections: commands (time and memory of lmmc), writing (ONNX files against cp), torch (emitted module against
transformers), runtime (ONNX Runtime on our graphs against those of two other exporters). The last two need a
prepared model: python tools/smollm2.py --folder FOLDER, where FOLDER is that of --model.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bench_commands
import bench_runtime
import bench_torch
import bench_writing
from bench_table import Table, keep, write_report

RESULTS = Path(__file__).with_name("bench_results.md")


def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="for all files")
    parser.add_argument("--model", type=Path, default=Path("build/smollm2"), help="prepared model")
    parser.add_argument(
        "--only", action="append", choices=("commands", "writing", "torch", "runtime")
    )
    parser.add_argument("--full", action="store_true", help="also what takes minutes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, section in sections(given).items():
        if given.only and name not in given.only:
            continue
        print(f"-- {name}", flush=True)
        table = section()
        keep(table, given.folder / "results")
        print(table.markdown(), flush=True)
    write_report(given.folder / "results", given.output)


def sections(given: argparse.Namespace) -> Mapping[str, Callable[[], Table]]:
    """The sections by name."""
    folder, rounds = given.folder.resolve(), given.rounds
    model = given.model.resolve()
    scope = "all" if given.full else "quick"
    return {
        "commands": lambda: bench_commands.run(folder, rounds),
        "writing": lambda: bench_writing.run(folder, rounds),
        "torch": lambda: bench_torch.run(model, rounds, scope),
        "runtime": lambda: bench_runtime.run(model, folder, rounds, scope),
    }


if __name__ == "__main__":
    main()
