"""The program inside a package, as people call it: weights, pictures, messages of one line."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import transformers
from PIL import Image

import lmmdsl
from lmmdsl.backends.onnx.run import Package, prepare_picture
from tests.guards.modules import ROOT

pytestmark = pytest.mark.onnx
CLIP = {
    "filter": "bicubic",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
}


@pytest.fixture(scope="module")
def spec():
    return lmmdsl.load(ROOT / "specs" / "flamingo.lmm", variant="tiny")


@pytest.fixture(scope="module")
def package(spec, tmp_path_factory):
    return spec.to_onnx(tmp_path_factory.mktemp("home") / "package", seed=0)


@pytest.fixture(params=[(61, 47), (23, 90), (336, 336)], ids=str)
def picture(request, tmp_path):
    """A picture of some height and width: gradients with noise, as photographs have."""
    height, width = request.param
    down, across = np.mgrid[0:height, 0:width]
    waves = 127 + 60 * np.sin(down / 9)[..., None] + 50 * np.cos(across / 7)[..., None]
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    file = tmp_path / "picture.png"
    Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8)).save(file)
    return file


def run(home, *arguments):
    """Exit code, output and errors of the program in a package."""
    command = [sys.executable, home / "run.py", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("crop", [True, False], ids=["centre", "whole"])
@pytest.mark.parametrize("side", [224, 336])
def test_pictures_are_prepared_as_the_published_processor_does(picture, side, crop):
    size = {"shortest_edge": side} if crop else {"height": side, "width": side}
    processor = transformers.CLIPImageProcessor(
        size=size,
        crop_size={"height": side, "width": side},
        do_center_crop=crop,
        image_mean=CLIP["mean"],
        image_std=CLIP["std"],
    )
    expected = processor(Image.open(picture), return_tensors="np")["pixel_values"]

    found = prepare_picture(picture, CLIP | {"resize": side, "crop": "center" if crop else "none"})

    assert found.shape == expected.shape == (1, 3, side, side)
    np.testing.assert_allclose(found, expected, atol=0.05)  # of about 4; roundings of resampling


def test_a_picture_that_is_too_large_shrinks_and_is_filled_up(tmp_path):
    Image.new("RGB", (40, 20), "white").save(tmp_path / "picture.png")
    settings = {
        "fit": [50, 30],
        "multiple": 4,
        "filter": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }

    found = prepare_picture(tmp_path / "picture.png", settings)

    assert found.shape == (1, 3, 16, 32)
    np.testing.assert_allclose(found[0, :, :15, :30], 1)
    np.testing.assert_allclose(found[0, :, 15:], 2 / 255 - 1, rtol=1e-6)
    np.testing.assert_allclose(found[0, :, :, 30:], 2 / 255 - 1, rtol=1e-6)


def test_a_setting_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot prepare pictures: \['pad'\]"):
        prepare_picture(tmp_path / "picture.png", {"resize": 8, "pad": "square"})


def test_a_picture_gives_what_its_prepared_image_gives(package, picture, tmp_path):
    np.save(tmp_path / "image.npy", Package(package).prepare(picture))

    found = run(package, "--ids", "1,126,5", "--image", picture, "--tokens", 3)

    assert found[0] == 0, found[2]
    assert found == run(
        package, "--ids", "1,126,5", "--pixels", tmp_path / "image.npy", "--tokens", 3
    )
    assert len(found[1].split(",")) <= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ids", "1,126,5"), "0 images for 1 placeholders 126 in the text"),
        (("--ids", "1,500"), "id 500 is outside the vocabulary of 128 ids"),
        (("--ids", "1,126", "--image", "none.png"), "No such file"),
    ],
    ids=["image", "id", "file"],
)
def test_a_wrong_call_is_answered_in_one_line(package, arguments, message):
    code, out, error = run(package, *arguments)

    assert (code, out) == (1, "")
    assert error.startswith("run.py: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_picture_without_pillow_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)

    with pytest.raises(ValueError, match="pip install pillow"):
        Package(package).prepare("picture.png")


def test_a_package_without_weights_says_so_in_one_line(spec, tmp_path):
    code, _, error = run(spec.to_onnx(tmp_path), "--ids", "1,5")

    assert code == 1
    assert "weights.onnx.data is missing: the package has no weights" in error
    assert error.count("\n") == 1


def test_the_same_seed_gives_the_same_weights(spec, tmp_path):
    files = [
        spec.random_weights(tmp_path / f"{number}.safetensors", seed=seed)
        for number, seed in enumerate((0, 0, 1))
    ]

    one, same, other = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    assert one == same != other


def test_random_weights_may_be_half_as_wide(spec, tmp_path):
    home = spec.to_onnx(tmp_path, seed=0, dtype="float16")

    assert np.isfinite(Package(home).embed(np.array([[1, 5]]))).all()


def test_random_weights_of_a_package_load_into_the_module(spec, package, tmp_path):
    net = lmmdsl.load_weights(spec.to_torch(), package / "random.safetensors")

    table = net.state_dict()["llm.embedding.weight"].numpy()
    np.testing.assert_array_equal(Package(package).embed(np.array([[1, 5]]))[0], table[[1, 5]])


def test_a_package_that_cannot_be_written_leaves_no_weights(spec, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(lmmdsl.CompileFailed):
        spec.to_onnx(tmp_path / "file" / "out", seed=0)

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_and_a_seed_are_refused(spec, tmp_path):
    with pytest.raises(ValueError, match="not both"):
        spec.to_onnx(tmp_path / "out", weights="model.safetensors", seed=0)
