"""Settings of every test run."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NO_COLOR"] = "1"


@pytest.fixture(autouse=True)
def plain_output(monkeypatch):
    """Messages as a pipe sees them: no colour, fixed width."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("LMMC_DEBUG", raising=False)
