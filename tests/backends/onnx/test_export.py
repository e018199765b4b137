"""Packages: where the weights lie, and that the driver runs them."""

import errno
import importlib.util
import json
import os

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from lmmdsl.backends.onnx import stream
from lmmdsl.backends.onnx.export import export
from lmmdsl.backends.onnx.scope import OnnxError
from lmmdsl.weights.coverage import Load
from lmmdsl.weights.header import read_checkpoint
from lmmdsl.weights.map import Rows, Source
from lmmdsl.weights.plan import plan_load
from tests.backends.onnx import handmade

pytestmark = pytest.mark.onnx
ROOT = handmade.decoder()
PROGRAM = handmade.program(ROOT)
WEIGHTS = handmade.random_weights(ROOT)
EMBEDS = np.random.default_rng(1).normal(size=(2, 5, 6)).astype(np.float32)


def store(folder, arrays=WEIGHTS, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    save_file(arrays, folder / name)
    return folder / name


def loads(file):
    return plan_load(PROGRAM, file).loads


def logits(folder):
    spec = importlib.util.spec_from_file_location("run", folder / "run.py")
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    package = run.Package(folder)
    mask = np.ones((2, 5), np.int64)
    return package.decode(EMBEDS.astype(package.float), mask, keep=0)[0]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    export(PROGRAM, folder, loads=loads(store(folder)))
    return logits(folder)


def test_copied_weights_stand_once_in_one_file(tmp_path, expected):
    file = store(tmp_path / "checkpoint")

    made = export(PROGRAM, tmp_path, loads=loads(file))

    assert made.copied == sum(array.nbytes for array in WEIGHTS.values())
    onnx.checker.check_model(str(tmp_path / "decoder_model_merged.onnx"), full_check=True)
    np.testing.assert_array_equal(logits(tmp_path), expected)


def test_weights_beside_the_graphs_are_used_in_place(tmp_path, expected):
    file = store(tmp_path)

    made = export(PROGRAM, tmp_path, home=tmp_path, loads=loads(file))

    assert (made.copied, "weights.onnx.data" in made.files) == (0, False)
    onnx.checker.check_model(str(tmp_path / "decoder_model_merged.onnx"), full_check=True)
    np.testing.assert_array_equal(logits(tmp_path), expected)


def test_linked_weights_are_copied(tmp_path, expected):
    file = store(tmp_path / "blobs")
    home = tmp_path / "home"
    home.mkdir()
    (home / "model.safetensors").symlink_to(file)

    made = export(PROGRAM, home, home=home, loads=loads(home / "model.safetensors"))

    assert made.copied
    np.testing.assert_array_equal(logits(home), expected)


def test_half_precision_is_converted_while_copying(tmp_path, expected):
    file = store(tmp_path / "checkpoint")

    made = export(PROGRAM, tmp_path, loads=loads(file), dtype="float16")

    assert made.copied == sum(array.nbytes for array in WEIGHTS.values()) // 2
    np.testing.assert_allclose(logits(tmp_path), expected, atol=2e-2)


def test_half_precision_overflow_is_an_error(tmp_path):
    file = store(tmp_path / "checkpoint", WEIGHTS | {"head.bias": np.full(11, 1e5, np.float32)})

    with pytest.raises(OnnxError, match=r"head\.bias: a value is too large for float16"):
        export(PROGRAM, tmp_path, loads=loads(file), dtype="float16")


def test_half_checkpoint_in_place_is_cast_by_the_graph(tmp_path, expected):
    half = {name: array.astype(np.float16) for name, array in WEIGHTS.items()}
    file = store(tmp_path, half)

    made = export(PROGRAM, tmp_path, home=tmp_path, loads=loads(file))

    assert made.copied == 0
    np.testing.assert_allclose(logits(tmp_path), expected, atol=5e-3)


def packed_loads(file, groups):
    """q, k and v of every layer in one tensor, rows interleaved in groups."""
    checkpoint = read_checkpoint(file)
    made = []
    for load in plan_load(PROGRAM, store(file.parent / "plain")).loads:
        layer, _, rest = load.path.rpartition(".")
        owner, _, part = layer.rpartition(".")
        if part in {"q", "k", "v"}:
            name = f"{owner}.qkv.{rest}"
            rows = Rows("qkv".index(part) * 6 // groups, 6 // groups, groups)
            source = Source((name,), checkpoint.tensors[name].shape, rows)
            load = Load(load.path, source, checkpoint.tensors[name])
        made.append(Load(load.path, load.source, checkpoint.tensors.get(load.path, load.tensor)))
    return made


def packed_weights(groups):
    arrays = dict(WEIGHTS)
    for layer in range(3):
        for kind in ("weight", "bias"):
            parts = [arrays.pop(f"layers.{layer}.{p}.{kind}") for p in "qkv"]
            split = [part.reshape(groups, -1, *part.shape[1:]) for part in parts]
            joined = np.concatenate(split, axis=1).reshape(-1, *parts[0].shape[1:])
            arrays[f"layers.{layer}.qkv.{kind}"] = np.ascontiguousarray(joined)
    return arrays


@pytest.mark.parametrize(("groups", "copied"), [(1, 0), (2, 1)], ids=["rows", "interleaved"])
def test_packed_weights_in_place_copy_only_what_no_range_can_express(
    tmp_path, expected, groups, copied
):
    file = store(tmp_path, packed_weights(groups))

    made = export(PROGRAM, tmp_path, home=tmp_path, loads=packed_loads(file, groups))

    assert bool(made.copied) == bool(copied)
    np.testing.assert_array_equal(logits(tmp_path), expected)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_transposed_tensors_are_turned_once(tmp_path, expected, dtype):
    turned = {n: np.ascontiguousarray(a.T) if a.ndim == 2 else a for n, a in WEIGHTS.items()}
    checkpoint = read_checkpoint(store(tmp_path / "turned", turned))
    made = [
        Load(
            load.path,
            Source(load.source.names, load.source.shape[::-1], None, load.tensor.shape != ()),
            checkpoint.tensors[load.path],
        )
        if len(load.source.shape) == 2
        else Load(load.path, load.source, checkpoint.tensors[load.path])
        for load in loads(store(tmp_path / "plain"))
    ]

    export(PROGRAM, tmp_path, loads=made, dtype=dtype)

    np.testing.assert_allclose(logits(tmp_path), expected, atol=2e-2 if dtype == "float16" else 0)


def test_without_weights_the_graph_points_into_a_file_to_come(tmp_path):
    made = export(PROGRAM, tmp_path)

    assert made.files == ("decoder_model_merged.onnx", "lmmdsl_package.json", "run.py")
    model = onnx.load(tmp_path / "decoder_model_merged.onnx", load_external_data=False)
    places = {e.key: e.value for e in model.graph.initializer[-1].external_data}
    assert places["location"] == "weights.onnx.data"


def test_weights_written_later_complete_a_graph_only_package(tmp_path, expected):
    early = tmp_path / "early"
    early.mkdir()
    export(PROGRAM, early)
    export(PROGRAM, tmp_path, loads=loads(store(tmp_path / "checkpoint")))

    os.replace(tmp_path / "weights.onnx.data", early / "weights.onnx.data")

    np.testing.assert_array_equal(logits(early), expected)


def test_copy_falls_back_to_reading_where_the_kernel_refuses(tmp_path, expected, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(stream, "KERNEL_COPIES", (refuse, refuse))
    file = store(tmp_path / "checkpoint")

    export(PROGRAM, tmp_path, loads=loads(file))

    np.testing.assert_array_equal(logits(tmp_path), expected)


def test_too_little_room_is_one_clear_error(tmp_path, monkeypatch):
    file = store(tmp_path / "checkpoint")
    monkeypatch.setattr(stream.shutil, "disk_usage", lambda _: type("Free", (), {"free": 10}))

    with pytest.raises(OnnxError, match="only 10 are free"):
        export(PROGRAM, tmp_path, loads=loads(file))


def test_package_facts_name_every_input(tmp_path):
    export(PROGRAM, tmp_path)

    facts = json.loads((tmp_path / "lmmdsl_package.json").read_text())

    decoder = facts["components"]["decoder_model_merged"]
    assert decoder["inputs"]["inputs_embeds"] == "float32[batch_size, sequence_length, 6]"
    assert facts["cache"] == [{"heads": 2, "key": 3, "value": 3}] * 3


def test_model_without_a_decoder_gives_one_graph_per_flow(tmp_path):
    layer = handmade.layer(6, 2)
    forward = layer.methods["forward"]
    root = handmade.definition("Flows", layer.parts.values(), itc=forward, itm=forward)

    made = export(handmade.program(root), tmp_path)

    assert made.files == ("itc.onnx", "itm.onnx", "lmmdsl_package.json")
    names = {item.name for item in made.components[0].model.graph.input}
    assert names == {"x", "keys", "past_key_values.0.key", "past_key_values.0.value"}
    facts = json.loads((tmp_path / "lmmdsl_package.json").read_text())
    assert facts["cache"] == []  # that of text generation, which the package has not
