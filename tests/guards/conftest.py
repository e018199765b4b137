"""What the guards look at: every module of the compiler and every spec."""

from pathlib import Path

import pytest

from tests.guards.modules import ROOT, Module, load_module


@pytest.fixture(scope="session")
def modules() -> dict[str, Module]:
    """Every module of the compiler by dotted name."""
    found = map(load_module, sorted((ROOT / "lmmdsl").rglob("*.py")))
    return {module.name: module for module in found}


@pytest.fixture(scope="session")
def specs() -> list[Path]:
    """Every `.lmm` file that ships: the models and the standard library."""
    return sorted((ROOT / "specs").rglob("*.lmm"))
