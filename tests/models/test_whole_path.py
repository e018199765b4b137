"""Emitted modules from ids and images to logits and to an answer, for batches that are padded, against the reference.

The golden tool goes part by part; here the module itself finds positions, masks and places of images.
"""

import importlib

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

import lmmdsl  # noqa: E402
from tests.guards.modules import ROOT  # noqa: E402

pytestmark = pytest.mark.torch
NEW = 5
CASES = {
    "cogvlm-model-c": "cogvlm",
    "cogvlm2-model-b": "cogvlm",
    "visualglm-model-b": "visualglm",
    "chatglm-llm-b": "visualglm",
    "chatglm-llm-c": "visualglm",
    "blip2-opt-b": "blip2",
    "llama-llm-b": "llama",
    "llava-v1_5-whole-b": "llava",
    "minigpt4-whole-c": "minigpt4",
    "minigpt_v2-whole-b": "minigpt4",
    "opt-llm-b": "opt",
}


@pytest.fixture(scope="module", params=CASES)
def posed(request):
    """A module with the weights of a case, and what it is asked: ids, mask and images; and the logits wanted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        adapter = importlib.import_module(f"goldens_adapters.{CASES[request.param]}")
        cases, flows, model = (
            importlib.import_module(f"goldens_adapters.{name}")
            for name in ("case", "flows", "model")
        )
        case = cases.read_case(ROOT / "tests" / "data" / "goldens" / request.param)
        net = model.TorchRunner(adapter.build(case), case.weights).net
        if adapter.__name__.endswith("visualglm"):
            layout = case.config("layout")
            ids, mask = adapter.marked(case, layout), adapter.real_tokens(case, layout["pad_id"])
        else:
            ids = adapter.marked(case) if hasattr(adapter, "marked") else case.inputs["input_ids"]
            mask = flows.mask_of(case)
        images = case.inputs.get("image", flows.images_of(case))
        given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        given |= {} if images is None else {"pixel_values": torch.from_numpy(images)}
        return net, given, torch.from_numpy(case.outputs["logits"])


def test_logits_of_real_tokens_are_those_of_the_reference(posed):
    net, given, wanted = posed
    real = given["attention_mask"]

    with torch.inference_mode():
        logits = net(**given)

    torch.testing.assert_close(logits[real], wanted[real], atol=1e-4, rtol=1e-4)


def test_rows_of_a_padded_batch_are_answered_as_each_alone(posed):
    net, given, _ = posed
    ids, real, images = given["input_ids"], given["attention_mask"], given.get("pixel_values")
    shown = (
        (ids == net.IMAGE_ID).sum(1) // net.IMAGE_TOKENS if images is not None else [0] * len(ids)
    )
    parts = iter([]) if images is None else iter(images.split(shown.tolist()))

    together = net.generate(**given, max_new_tokens=NEW, stop_ids=())[:, -NEW:]

    for row, kept, count, answer in zip(ids, real, shown, together, strict=True):
        own = next(parts, None) if images is not None else None
        alone = net.generate(
            row[kept][None], own if count else None, max_new_tokens=NEW, stop_ids=()
        )
        assert alone[0, -NEW:].tolist() == answer.tolist()


def test_placeholder_inside_the_vocabulary_is_a_word_where_no_image_is_given():
    inside = lmmdsl.load(ROOT / "specs" / "llava_v1_5.lmm", variant="tiny", set={"vocab.image": 90})
    outside = lmmdsl.load(ROOT / "specs" / "llava_v1_5.lmm", variant="tiny")
    ids = torch.tensor([[5, 90, 7]])

    net = inside.to_torch().eval()

    torch.testing.assert_close(net.embed(ids), net.llm.embed(ids))
    assert outside.to_torch().embed(torch.tensor([[5, -200, 7]])).isfinite().all()
