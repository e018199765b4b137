"""Compiled specs against the reference implementations, through `tools/goldens.py`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
np = pytest.importorskip("numpy")

from safetensors.numpy import load_file, save_file  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "goldens.py"
CASES = sorted(path.parent for path in (ROOT / "tests" / "data" / "goldens").glob("*/case.json"))


CLIP = next(case for case in CASES if case.name == "clip-l-encoder-a")


def run(*arguments):
    """Exit code and output of the tool."""
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.torch
@pytest.mark.onnx
@pytest.mark.slow
def test_every_case_passes_on_every_backend():
    code, output = run(*CASES, "--json")

    verdicts = json.loads(output)
    wrong = [v for v in verdicts if not v["passed"]]
    assert code == 0, wrong
    assert {(v["case"], v["backend"]) for v in verdicts} == {
        (case.name, backend) for case in CASES for backend in ("torch", "onnx")
    }


@pytest.mark.torch
def test_a_wrong_output_fails(tmp_path):
    case = shutil.copytree(CLIP, tmp_path / "case")
    values = load_file(case / "io.safetensors")
    values["out.vision_features"] = values["out.vision_features"] + np.float32(1e-3)
    save_file(values, case / "io.safetensors")

    code, output = run(case, "--backend", "torch")

    assert code == 1
    assert "FAIL" in output
    assert "vision_features" in next(line for line in output.splitlines() if "FAIL" in line)


@pytest.mark.torch
def test_weights_that_do_not_fit_fail_with_the_report(tmp_path):
    case = shutil.copytree(CLIP, tmp_path / "case")
    values = load_file(case / "weights.safetensors")
    values.pop(
        next(name for name in values if name.endswith("layer_norm1.bias") or "ln_1.bias" in name)
    )
    save_file(values, case / "weights.safetensors")

    code, output = run(case, "--backend", "torch")

    assert code == 1
    assert "E0706" in output


@pytest.mark.torch
def test_a_case_without_a_size_fails_and_the_others_run(tmp_path):
    broken = shutil.copytree(CLIP, tmp_path / "broken")
    facts = json.loads((broken / "case.json").read_text())
    del facts["config"]["vision"]["heads"]
    (broken / "case.json").write_text(json.dumps(facts))

    code, output = run(broken, CLIP, "--backend", "torch")

    assert code == 1
    assert "KeyError: 'heads'" in output
    assert f"PASS  {CLIP.name}" in output


def test_a_folder_that_is_no_case_is_a_usage_error(tmp_path):
    assert run(tmp_path)[0] == 2
    assert run()[0] == 2
    assert run(CASES[0], "--backend", "tvm")[0] == 2


@pytest.fixture
def llava(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from goldens_adapters import llava

    return llava


LAYOUT = {"image_token_id": -200, "tokens_per_image": 3, "pad_id": 0}


def test_markers_become_as_many_placeholders_as_the_image_has_tokens(llava):
    ids = np.array([[0, 5, -200, 6], [7, -200, -200, 8]])
    mask = ids != 0

    found, kept, taken = llava.expand(ids, mask, LAYOUT)

    assert found.tolist() == [
        [5, -200, -200, -200, 6, 0, 0, 0],
        [7, -200, -200, -200, -200, -200, -200, 8],
    ]
    assert kept.sum(axis=1).tolist() == [5, 8]
    assert taken.tolist() == [0, 1, 2]


def test_rows_are_cut_at_the_limit_and_padded_on_their_side(llava):
    embeds = np.arange(1.0, 9.0).reshape(2, 4, 1)
    mask = np.array([[True, True, False, False], [True, True, True, True]])
    limit = {"max_length": 3}

    right, _ = llava.cut(embeds, mask, limit)
    left, kept = llava.cut(embeds, mask, limit | {"padding_side": "left"})

    assert right[:, :, 0].tolist() == [[1, 2, 0], [5, 6, 7]]
    assert left[:, :, 0].tolist() == [[0, 1, 2], [5, 6, 7]]
    assert kept.tolist() == [[False, True, True], [True, True, True]]


def test_a_row_without_an_image_takes_one_from_the_list(llava):
    ids = np.array([[5, -200], [6, 7], [-200, 8]])

    _, _, taken = llava.expand(ids, np.ones_like(ids, bool), LAYOUT)

    assert taken.tolist() == [0, 2]


@pytest.mark.parametrize(
    "shape", [(2, 3), (2, 3, 5), (2, 4, 3)], ids=["alone", "leading", "around"]
)
def test_a_mask_of_tokens_marks_them_wherever_their_axis_stands(monkeypatch, shape):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from goldens_adapters.case import kept

    mask = np.array([[True, False, True], [False, False, True]])
    tokens = np.arange(6).reshape(2, 3)
    channels = {3: tokens[..., None].repeat(5, 2), 4: tokens[:, None].repeat(4, 1)}
    value = tokens if len(shape) == 2 else channels[shape[1]]

    assert value.shape == shape
    assert sorted(set(kept(value, mask).ravel().tolist())) == [0, 2, 5]
