"""Compare compiled specs with golden outputs of the reference implementations.

    python tools/goldens.py DIR [DIR ...] [--backend torch|onnx|all] [--json]

A DIR is a case (case.json, weights.safetensors, io.safetensors) or a folder of cases. Weights are loaded by their
reference names through the spec's own weight map. For each output: the largest absolute error, the largest error
relative to the largest value wanted, the tolerance, and PASS or FAIL. Exit code 0 when all pass, 1 when any fails,
2 when a DIR holds no case.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from goldens_adapters import find_adapter
from goldens_adapters.case import BadCase, Case, Verdict, compare, read_case
from goldens_adapters.model import RUNNERS

import lmmdsl
from lmmdsl.weights.plan import WeightsFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--backend", choices=(*RUNNERS, "all"), default="all")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    given = parser.parse_args(arguments)
    try:
        cases = [read_case(folder) for path in given.folders for folder in _folders(path)]
    except BadCase as error:
        parser.error(str(error))
    backends = tuple(RUNNERS) if given.backend == "all" else (given.backend,)
    verdicts = []
    for case in cases:
        for verdict in check_case(case, backends):
            verdicts.append(verdict)
            if not given.json:
                print(_line(verdict), flush=True)
    passed = sum(verdict.passed for verdict in verdicts)
    if given.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    else:
        print(f"{passed} of {len(verdicts)} outputs pass, {len(cases)} cases")
    return 0 if passed == len(verdicts) else 1


def check_case(case: Case, backends: Sequence[str]) -> Iterator[Verdict]:
    """Run a case on some backends and compare every output."""
    for backend in backends:
        try:
            adapter = find_adapter(case)
            runner = RUNNERS[backend](adapter.build(case), case.weights)
            found = adapter.run(case, runner)
        except (BadCase, lmmdsl.CompileFailed, WeightsFailed) as error:
            yield Verdict(case.name, backend, "-", False, problem=str(error))
            continue
        except Exception as error:  # a case that no adapter expected must not hide the others
            problem = f"{type(error).__name__}: {error}"
            yield Verdict(case.name, backend, "-", False, problem=problem)
            continue
        for output in case.outputs:
            if output in case.optional and output not in found:
                continue
            yield compare(case, backend, output, found.get(output))


def _folders(path: Path) -> list[Path]:
    if (path / "case.json").exists() or not path.is_dir():
        return [path]
    found = sorted(file.parent for file in path.glob("*/case.json"))
    if not found:
        raise BadCase(f"{path} holds no golden case")
    return found


def _line(verdict: Verdict) -> str:
    word = "PASS" if verdict.passed else "FAIL"
    errors = f"abs {verdict.absolute:.2e}  rel {verdict.relative:.2e}"
    numbers = f"{errors}  (atol {verdict.atol:.1e}, rtol {verdict.rtol:.1e})"
    detail = verdict.problem if verdict.problem else numbers
    return f"{word}  {verdict.case}  {verdict.backend:5}  {verdict.output:18}  {detail}"


if __name__ == "__main__":
    sys.exit(main())
