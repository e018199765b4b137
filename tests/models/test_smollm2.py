"""A real pretrained language model, prepared once by `python tools/smollm2.py`; skipped where it is not.

The folder is `build/smollm2`, or what the environment variable LMMDSL_SMOLLM2 names.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("LMMDSL_SMOLLM2", ROOT / "build" / "smollm2"))


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.skipif(
    not (FOLDER / "model" / "model.safetensors").exists(), reason="run tools/smollm2.py first"
)
def test_generate_pretrained_model_equals_transformers():
    tool = [sys.executable, ROOT / "tools" / "smollm2.py", "--folder", FOLDER, "--tokens", "16"]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("same: ") == 3
