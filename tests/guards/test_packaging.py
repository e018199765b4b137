"""The wheel holds all that `lmmc` needs, away from the checkout."""

import shutil
import subprocess
import sys

import pytest

from tests.guards.modules import ROOT

PROJECT = ("lmmdsl", "grammars", "specs", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel is installed."""
    source, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *options, str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


@pytest.mark.slow
def test_wheel_checks_its_own_specs(installed, tmp_path):
    specs = sorted((installed / "lmmdsl" / "_specs").glob("*.lmm"))
    code = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); import lmmdsl.__main__ as m; m.main()"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", code, "check", *map(str, specs)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert specs
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_wheel_holds_every_spec(installed):
    shipped = installed / "lmmdsl" / "_specs"
    expected = {path.relative_to(ROOT / "specs") for path in (ROOT / "specs").rglob("*.lmm")}

    assert {path.relative_to(shipped) for path in shipped.rglob("*.lmm")} == expected
