"""The sources as text: size, names of models, what is packaged."""

import re
import tomllib

import pytest

from tests.guards.modules import ROOT

MAX_LINES = 400
MODEL_NAMES = re.compile(
    r"llava|flamingo|blip|minigpt|mplug|visualglm|chatglm|cogvlm|qwen|internlm|xcomposer|ferret|fuyu|albef|vicuna"
    r"|persimmon|llama|\bclip_?vit|\beva_?clip",
    re.IGNORECASE,
)


def test_no_source_file_is_too_long():
    files = [path for name in ("lmmdsl", "tools", "tests") for path in (ROOT / name).rglob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in files
    }

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_the_compiler_names_no_model(modules):
    wrong = [
        f"{module.path.relative_to(ROOT)}:{number}: {line.strip()}"
        for module in modules.values()
        for number, line in module.code_lines()
        if MODEL_NAMES.search(line)
    ]

    assert not wrong


def test_every_package_is_packaged():
    listed = set(_project()["tool"]["setuptools"]["packages"])
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "lmmdsl").rglob("__init__.py")
    }

    assert listed - {"lmmdsl._grammars", "lmmdsl._specs"} == found


def test_every_requirement_is_pinned():
    project = _project()["project"]
    extras = project["optional-dependencies"].values()
    asked = {_name(line) for group in (project["dependencies"], *extras) for line in group} - {
        "lmmdsl"
    }
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if not line.startswith("#")}

    assert asked <= pinned


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run"])
def test_the_project_has_its_page(name):
    assert (ROOT / name).stat().st_size > 0


def _project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(requirement):
    return re.split(r"[\[=<>~! ]", requirement.strip())[0].lower().replace("_", "-")
