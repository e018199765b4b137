"""Whole packages from specs: every profile and precision, any batch, length, number of images and past."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from safetensors.numpy import load_file, save_file

import lmmdsl
from lmmdsl.backends.onnx.run import Package

pytestmark = pytest.mark.onnx
SPECS = Path(__file__).parents[3] / "specs"
IMAGE = 100
GRAPHS = ("vision_encoder", "embed_tokens", "decoder_model_merged")


@pytest.fixture(scope="module")
def spec():
    return lmmdsl.load(SPECS / "llava_v1_5.lmm", variant="tiny", set={"vocab.image": IMAGE})


@pytest.fixture(scope="module")
def checkpoint(spec, tmp_path_factory):
    rng = np.random.default_rng(0)
    arrays = {
        path: (rng.normal(size=[size.value for size in param.shape]) * 0.3).astype(np.float32)
        for path, param in spec.program.full.params()
    }
    file = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_file(arrays, file)
    return file


@pytest.fixture(scope="module")
def packages(spec, checkpoint, tmp_path_factory):
    made = {}

    def package(profile, dtype="float32"):
        if (profile, dtype) not in made:
            folder = tmp_path_factory.mktemp(f"{profile}-{dtype}")
            spec.to_onnx(folder, weights=checkpoint, profile=profile, dtype=dtype)
            options = ort.SessionOptions()
            options.intra_op_num_threads = 1
            made[profile, dtype] = Package(folder, options)
        return made[profile, dtype]

    return package


def prompt(images, text, seed=0):
    rng = np.random.default_rng(seed)
    words = rng.integers(3, IMAGE, text)
    pixels = rng.normal(size=(images, 3, 28, 28)).astype(np.float32)
    return np.array([[1, *[IMAGE] * 16 * images, *words]], np.int64), pixels


def logits(package, ids, pixels):
    embeds = package.embed(ids, package.encode(pixels) if len(pixels) else None)
    return package.decode(embeds, np.ones_like(ids), keep=0)[0]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("profile", ["std", "base"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_graphs_pass_the_checker_and_strict_inference(packages, graph, profile, dtype):
    file = packages(profile, dtype).folder / f"{graph}.onnx"

    onnx.checker.check_model(str(file), full_check=True)
    model = onnx.load(file, load_external_data=False)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


@pytest.mark.parametrize("images", [0, 1, 3])
@pytest.mark.parametrize(
    ("profile", "dtype", "error"),
    [
        ("base", "float32", 1e-4),
        ("ort", "float32", 1e-4),
        ("std", "float16", 5e-2),
        ("base", "float16", 5e-2),
        ("ort", "float16", 5e-2),
    ],
)
def test_profiles_and_precisions_agree(packages, images, profile, dtype, error):
    ids, pixels = prompt(images, 5)

    expected = logits(packages("std"), ids, pixels)

    found = logits(packages(profile, dtype), ids, pixels)
    np.testing.assert_allclose(found, expected, atol=error * np.abs(expected).max())


@pytest.mark.parametrize("profile", ["std", "ort", "base"])
def test_cached_steps_agree_with_one_run(packages, profile):
    package = packages(profile)
    ids, pixels = prompt(1, 7)
    embeds, mask = package.embed(ids, package.encode(pixels)), np.ones_like(ids)
    whole, _ = package.decode(embeds, mask, keep=0)

    _, cache = package.decode(embeds[:, :-3], mask[:, :-3])
    two, cache = package.decode(embeds[:, -3:-1], mask[:, :-1], cache, keep=0)
    one, _ = package.decode(embeds[:, -1:], mask, cache)

    np.testing.assert_allclose(np.concatenate([two, one], 1), whole[:, -3:], atol=1e-4)


@pytest.mark.parametrize(
    ("profile", "side"), [("std", "front"), ("std", "behind"), ("ort", "front"), ("base", "front")]
)
def test_padded_batch_agrees_with_single_prompts(packages, profile, side):
    package = packages(profile)
    (short, _), (long, pixels) = prompt(0, 6), prompt(1, 5, seed=1)
    pad = long.shape[1] - short.shape[1]
    room = (pad, 0) if side == "front" else (0, pad)
    ids = np.concatenate([np.pad(short, ((0, 0), room)), long])
    mask = np.stack([np.pad(np.ones(short.shape[1], np.int64), room), np.ones_like(long[0])])

    both = package.generate(ids, pixels, limit=4, mask=mask)

    np.testing.assert_array_equal(both[:1], package.generate(short, limit=4))
    np.testing.assert_array_equal(both[1:], package.generate(long, pixels, limit=4))


def test_default_keeps_only_what_was_asked_for(packages):
    package = packages("std")
    ids, _ = prompt(0, 6)

    assert package.decode(package.embed(ids), np.ones_like(ids))[0].shape == (1, 1, 128)


def test_shared_tensors_are_stored_once(packages, spec):
    data = packages("std").folder / "weights.onnx.data"
    needed = sum(
        4 * np.prod([size.value for size in param.shape]) for _, param in spec.program.root.params()
    )

    blocks = sum(1 for _ in spec.program.root.params())
    assert data.stat().st_size < needed + blocks * 65536
    placed = set()
    for graph in GRAPHS:
        model = onnx.load(packages("std").folder / f"{graph}.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            entry = {item.key: item.value for item in tensor.external_data}
            placed |= {(tensor.name, entry["offset"])} if entry else set()
    assert len(placed) == blocks


def test_the_same_spec_gives_the_same_bytes_and_no_path_of_this_machine(spec, tmp_path):
    texts = []
    for name in ("a", "b"):
        folder = spec.to_onnx(tmp_path / name)
        texts.append({path.name: path.read_bytes() for path in folder.iterdir()})

    assert texts[0] == texts[1]
    assert not any(str(SPECS.parent).encode() in text for text in texts[0].values())


def test_genai_decoder_shares_the_weights(packages):
    folder = packages("std").folder
    models = [
        onnx.load(folder / f"{name}.onnx", load_external_data=False)
        for name in ("decoder_model_merged", "decoder_model_genai")
    ]

    names = [{item.name for item in model.graph.input} for model in models]
    assert names[0] - names[1] == {"num_logits_to_keep"}
    assert (folder / "genai_config.json").exists()


def test_a_placeholder_without_images_is_an_ordinary_token(packages, checkpoint):
    """A model may generate the placeholder's id, if that lies inside the vocabulary."""
    found = packages("std").embed(np.array([[IMAGE, 5]]))

    table = load_file(checkpoint)["llm.embedding.weight"]
    np.testing.assert_array_equal(found[0], table[[IMAGE, 5]])
