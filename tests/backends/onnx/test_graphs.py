"""Graphs from method graphs: functions, the flat form, the cache."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from lmmdsl.backends.onnx.component import decoder_component, flow_component
from lmmdsl.backends.onnx.export import embed_weights
from lmmdsl.backends.onnx.frame import Options
from tests.backends.onnx import handmade

pytestmark = pytest.mark.onnx
FLOAT = onnx.TensorProto.FLOAT


def build(root, **options):
    part = decoder_component(root, Options(cached=True, domain="lmmdsl.test", **options))
    embed_weights(part, handmade.random_weights(root), element=FLOAT)
    return part


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options)


def decode(run, embeds, *, past=None, seen=0, keep=0):
    batch, tokens = embeds.shape[:2]
    feeds = {
        "inputs_embeds": embeds,
        "attention_mask": np.ones((batch, seen + tokens), np.int64),
        "num_logits_to_keep": np.array(keep),
    }
    for layer in range(3):
        for part in ("key", "value"):
            empty = np.zeros((batch, 2, 0, 3), np.float32)
            feeds[f"past_key_values.{layer}.{part}"] = (
                past[f"present.{layer}.{part}"] if past else empty
            )
    names = [item.name for item in run.get_outputs()]
    results = dict(zip(names, run.run(None, feeds), strict=True))
    return results.pop("logits"), results


@pytest.fixture(scope="module")
def embeds():
    return np.random.default_rng(1).normal(size=(2, 7, 6)).astype(np.float32)


@pytest.mark.parametrize("flat", [False, True], ids=["functions", "flat"])
def test_decoder_passes_the_checker_and_strict_inference(flat):
    model = build(handmade.decoder(), flat=flat).model

    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def test_equal_layers_share_one_function():
    model = build(handmade.decoder()).model

    assert [function.name for function in model.functions] == ["Layer"]
    assert sum(node.op_type == "Layer" for node in model.graph.node) == 3


def test_flat_and_functions_agree(embeds):
    root = handmade.decoder()
    results = [decode(session(build(root, flat=flat).model), embeds)[0] for flat in (False, True)]

    np.testing.assert_array_equal(*results)


def test_cached_steps_agree_with_one_run(embeds):
    run = session(build(handmade.decoder()).model)
    whole, _ = decode(run, embeds)

    _, past = decode(run, embeds[:, :4])
    middle, past = decode(run, embeds[:, 4:6], past=past, seen=4)
    last, _ = decode(run, embeds[:, 6:], past=past, seen=6, keep=1)

    np.testing.assert_allclose(middle, whole[:, 4:6], atol=1e-6)
    np.testing.assert_allclose(last, whole[:, 6:], atol=1e-6)


def test_keeping_the_last_logits_gives_only_those(embeds):
    run = session(build(handmade.decoder()).model)

    whole, kept = decode(run, embeds)[0], decode(run, embeds, keep=2)[0]

    np.testing.assert_allclose(kept, whole[:, -2:], atol=1e-6)


def test_names_are_hierarchical_and_places_short():
    nodes = build(handmade.decoder(), flat=True).model.graph.node
    node = next(node for node in nodes if node.name == "/layers.1/q/Gemm")

    notes = {entry.key: entry.value for entry in node.metadata_props}
    assert notes == {"namespace": "layers.1/q", "lmm": "decoder.lmm:2"}


def test_flat_form_taps_every_part_in_order():
    taps = build(handmade.decoder(), flat=True).taps

    assert [tap.path for tap in taps[:5]] == [f"layers.0.{p}" for p in ("q", "k", "v", "out")] + [
        "layers.0"
    ]
    assert taps[4].values == ("layers.0/x",)


def test_axes_have_public_names():
    graph = build(handmade.decoder()).model.graph
    axes = {
        i.name: [a.dim_param or a.dim_value for a in i.type.tensor_type.shape.dim]
        for i in graph.input
    }

    assert axes["attention_mask"] == ["batch_size", "total_sequence_length"]
    assert axes["past_key_values.2.value"] == ["batch_size", 2, "past_sequence_length", 3]


def test_values_between_layers_have_their_types():
    infos = {info.name for info in build(handmade.decoder()).model.graph.value_info}

    assert {"layers.0/y", "layers.1/y", "hidden"} <= infos


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_open_axes_take_any_rank(rank):
    part = flow_component(handmade.affine(6, 5), "forward", Options(), {"b": rank - 1})

    assert len(part.model.graph.input[0].type.tensor_type.shape.dim) == rank


def test_same_program_gives_the_same_bytes():
    texts = [build(handmade.decoder()).model.SerializeToString(deterministic=True) for _ in "ab"]

    assert texts[0] == texts[1]
