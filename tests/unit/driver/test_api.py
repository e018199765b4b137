"""The Python interface: a spec and its products."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

import torch
from safetensors.torch import load_file, save_file

import lmmdsl
from lmmdsl.resources import specs_folder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def spec():
    return lmmdsl.load(specs_folder() / "llava_v1_5.lmm", variant="tiny", set={"llm.depth": 3})


def test_module_is_its_source_imported(spec):
    net = spec.to_torch()

    assert isinstance(net, torch.nn.Module)
    with open(net.source_file, encoding="utf-8") as file:
        assert file.read() == spec.to_source()


def test_module_on_meta_holds_no_numbers(spec):
    net = spec.to_torch(device="meta", dtype=torch.bfloat16)

    assert {(p.device.type, p.dtype) for p in net.parameters()} == {("meta", torch.bfloat16)}
    assert sum(p.numel() for p in net.parameters()) == spec.stats().used


def test_weights_saved_under_a_scheme_load_again(spec, tmp_path):
    path = tmp_path / "weights.safetensors"
    first, second = spec.to_torch(), spec.to_torch()
    lmmdsl.save_weights(first, path, naming="hf")
    lmmdsl.load_weights(second, path, naming="hf")

    state = second.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())


def test_weights_of_another_size_are_refused(spec, tmp_path):
    path = tmp_path / "weights.safetensors"
    lmmdsl.save_weights(spec.to_torch(), path)
    other = lmmdsl.load(specs_folder() / "llava_v1_5.lmm", variant="tiny").to_torch()

    with pytest.raises(lmmdsl.CompileFailed) as caught:
        lmmdsl.load_weights(other, path)

    assert [item.code for item in caught.value.diagnostics] == ["E0706"]


@pytest.mark.onnx
def test_onnx_refuses_weights_that_do_not_fit_and_leaves_nothing(spec, tmp_path):
    path = tmp_path / "weights.safetensors"
    lmmdsl.save_weights(
        lmmdsl.load(specs_folder() / "llava_v1_5.lmm", variant="tiny").to_torch(), path
    )

    with pytest.raises(lmmdsl.CompileFailed):
        spec.to_onnx(tmp_path / "out", weights=path)

    assert [item.name for item in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.onnx
def test_onnx_refuses_a_head_that_is_not_the_embedding_where_both_are_one(tmp_path):
    tied = lmmdsl.load(specs_folder() / "visualglm_6b.lmm", variant="tiny", set={"llm.tied": True})
    path = tmp_path / "weights.safetensors"
    lmmdsl.save_weights(tied.to_torch(), path, naming="hf")
    tensors = load_file(path)
    save_file(tensors | {"lm_head.weight": tensors["transformer.word_embeddings.weight"] + 1}, path)

    with pytest.raises(lmmdsl.CompileFailed, match=r"lm_head\.weight is different"):
        tied.to_onnx(tmp_path / "out", weights=path, naming="hf")


@pytest.mark.onnx
def test_onnx_package_beside_the_weights_copies_nothing(spec, tmp_path):
    lmmdsl.save_weights(spec.to_torch(), tmp_path / "model.safetensors")

    spec.to_onnx(tmp_path, weights=tmp_path / "model.safetensors")

    assert not (tmp_path / "weights.onnx.data").exists()
    assert (tmp_path / "decoder_model_merged.onnx").exists()


def test_reports_are_data(spec):
    assert spec.tokens().layouts[0].name == "chat"
    assert spec.trace(depth=0).components
    assert repr(spec) == "Spec('LLaVA_v1_5', variant='tiny')"
