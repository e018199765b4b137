"""Checking is light: no heavy library, and work that follows the distinct blocks, not the depth."""

import subprocess
import sys

import pytest

import lmmdsl
from lmmdsl.graph.ir import distinct

HEAVY = {
    "graphviz",
    "networkx",
    "numpy",
    "onnx",
    "onnxruntime",
    "pygraphviz",
    "safetensors",
    "sympy",
    "torch",
    "transformers",
}

CHECK = """
import sys
from lmmdsl.cli.main import run
code = run(["check", *sys.argv[1:]])
loaded = {name.partition(".")[0] for name in sys.modules}
print("loaded:", *sorted(loaded), file=sys.stderr)
sys.exit(code)
"""

HELP = """
import sys
from lmmdsl.cli.main import run
run(["--help"])
print("loaded:", *sys.modules, file=sys.stderr)
"""


def _loaded(script, *arguments):
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(done.stderr.rpartition("loaded:")[2].split())


def test_check_of_every_spec_loads_nothing_heavy(specs):
    models = [str(path) for path in specs if "std" not in path.parts]

    assert not _loaded(CHECK, *models) & HEAVY


def test_help_loads_neither_the_parser_nor_a_command():
    loaded = _loaded(HELP)

    assert not {name for name in loaded if name.startswith(("lark", "pydantic", "lmmdsl.syntax"))}
    assert {name for name in loaded if name.startswith("lmmdsl.cli.")} == {"lmmdsl.cli.main"}


def test_importing_the_package_loads_nothing():
    loaded = _loaded('import sys, lmmdsl; print("loaded:", *sys.modules, file=sys.stderr)')

    assert {name for name in loaded if name.startswith("lmmdsl")} == {"lmmdsl", "lmmdsl.version"}


@pytest.mark.parametrize("depth", [2, 80])
def test_definitions_follow_the_distinct_blocks_not_the_depth(specs, depth):
    spec = next(path for path in specs if path.stem == "llava_v1_5")

    program = lmmdsl.load(spec, set={"llm.depth": depth}).program

    assert len(distinct(program.full)) == len(distinct(lmmdsl.load(spec).program.full))
