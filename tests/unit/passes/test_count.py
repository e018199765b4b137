"""Counts against the reference implementations' figures and against arithmetic by hand."""

import pytest

import lmmdsl
from lmmdsl.graph.ir import distinct
from lmmdsl.passes.count import Caches, Operations, Parameters, concrete, find_part
from lmmdsl.passes.ledger import ledgers
from lmmdsl.passes.stages import count_stage
from tests.guards.modules import ROOT
from tests.support.programs import HOSTILE, shipped, written


@pytest.mark.parametrize(
    ("spec", "variant", "total"),
    [
        ("llava_v1", "7b", 7_045_793_792),
        ("llava_v1", "13b", 13_324_292_096),
        ("llava_v1_5", "7b", 7_062_902_784),
        ("llava_v1_5", "13b", 13_350_839_296),
        ("llava_v1_5", "7b-hf", 7_063_427_072),
        ("llava_v1_5", "13b-hf", 13_351_494_656),
    ],
)
def test_declared_parameters_equal_the_reference(spec, variant, total):
    program = shipped(spec, variant)

    assert Parameters(program.full).of(program.full).total == total


@pytest.mark.parametrize(
    ("spec", "variant", "part", "declared", "used"),
    [
        ("llava_v1", "7b", "vision", 303_179_776, 290_581_504),
        ("llava_v1_5", "7b", "vision", 303_507_456, 290_909_184),
        ("llava_v1", "7b", "proj", 4_198_400, 4_198_400),
        ("llava_v1", "13b", "proj", 5_248_000, 5_248_000),
        ("llava_v1_5", "7b", "proj", 20_979_712, 20_979_712),
        ("llava_v1_5", "13b", "proj", 31_467_520, 31_467_520),
        ("llava_v1_5", "7b", "llm", 6_738_415_616, 6_738_415_616),
        ("llava_v1_5", "13b", "llm", 13_015_864_320, 13_015_864_320),
        ("llava_v1_5", "7b", "vision.layers.0", 12_596_224, 12_596_224),
        ("llava_v1_5", "7b", "vision.layers.23", 12_596_224, 0),
        ("llava_v1_5", "7b", "vision.norm_post", 2_048, 0),
        ("llava_v1_5", "7b", "llm.layers.31", 202_383_360, 202_383_360),
        ("llava_v1_5", "13b", "llm.layers.0", 317_204_480, 317_204_480),
    ],
)
def test_parameters_of_parts_equal_the_reference(spec, variant, part, declared, used):
    program = shipped(spec, variant)

    found = [Parameters(root).of_path(root, part).total for root in (program.full, program.root)]

    assert found == [declared, used]


@pytest.mark.parametrize(
    "path", ["nowhere", "llm.layers.2", "llm.layers.x", "llm.head.weight.more"]
)
def test_find_part_of_a_path_that_leads_nowhere_is_none(path):
    assert find_part(shipped("llava_v1_5", "tiny").root, path) is None


def test_operations_of_a_decoder_equal_arithmetic():
    program, tokens, width, layers = shipped("llava_v1_5", "7b"), 640, 4096, 32
    linear = 4 * width * width + 3 * width * 11008
    attention = 2 * tokens * tokens * width  # scores, and again the weighted sum
    shapes = concrete(program.root.methods["decode"], {"B": 1, "T": tokens, "S": tokens})

    found = Operations().of(program.root, "decode", shapes)

    assert found == layers * (2 * tokens * linear + 2 * attention)


def test_operations_of_one_more_token_see_the_past():
    program, past, width, layers = shipped("llava_v1_5", "7b"), 639, 4096, 32
    linear = 4 * width * width + 3 * width * 11008
    shapes = concrete(program.root.methods["decode"], {"B": 1, "T": 1, "S": past + 1})

    found = Operations(past=past).of(program.root, "decode", shapes)

    assert found == layers * (2 * linear + 4 * (past + 1) * width)


def test_operations_of_an_argument_left_out_do_not_matter():
    program = shipped("llava_v1_5", "tiny")
    with_mask = Operations().of(program.root, "decode", ((2, 7, 40), (2, 7), (2, 7)))

    assert Operations().of(program.root, "decode", ((2, 7, 40), (2, 7), None)) == with_mask


@pytest.mark.torch
@pytest.mark.parametrize(
    ("method", "shapes"),
    [
        ("encode", ((3, 3, 28, 28),)),
        ("decode", ((2, 9, 40), (2, 9), None)),
        ("logits", ((2, 5, 40),)),
    ],
)
def test_operations_equal_those_that_torch_counts(method, shapes):
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    spec = lmmdsl.load(ROOT / "specs" / "llava_v1_5.lmm", variant="tiny")
    arguments = [
        torch.zeros(shape, dtype=torch.long if len(shape) == 2 else torch.float)
        for shape in shapes
        if shape
    ]

    # The fused kernels of the CPU are unknown to torch's counter.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        getattr(spec.to_torch(), method)(*arguments)

    program = spec.program
    assert Operations().of(program.root, method, shapes) == counter.get_total_flops()


@pytest.mark.parametrize(("variant", "size"), [("7b", 524_288), ("13b", 819_200), ("tiny", 160)])
def test_cache_of_a_token_in_half_precision(variant, size):
    slots = Caches().of(shipped("llava_v1_5", variant).root, "decode")

    assert 2 * sum(slot.numbers for slot in slots) == size


def test_counting_follows_the_distinct_definitions():
    program = shipped("llava_v1_5", "13b")
    parameters = Parameters(program.full)

    assert len(parameters._of) == len(distinct(program.full)) < 40


def test_stage_counts_only_what_it_trains():
    program = shipped("llava_v1_5", "7b")

    found = {
        part.part: (part.state, part.trained) for part in count_stage(program, program.stages[0])
    }

    assert found == {
        "vision": ("frozen", 0),
        "proj": ("trained", 20_979_712),
        "llm": ("frozen", 0),
    }


def test_stage_with_lora_counts_adapters():
    program = written(HOSTILE)

    llm = count_stage(program, program.stages[0])[-1]

    assert (llm.part, llm.state, llm.adapters) == ("llm", "adapters", 2 * 4 * (40 + 40))


def test_lora_of_the_published_recipe_counts_like_the_reference():
    text = (ROOT / "specs" / "llava_v1_5.lmm").read_text(encoding="utf-8")
    rule = "lora (rank = 128, alpha = 256) on llm.layers[*].attn.{q, k, v, out}, llm.layers[*].mlp.{gate, up, down}"
    text = text.replace("stage pretrain { train proj }", f"stage pretrain {{ {rule} }}")
    text = text.replace(
        "depth = 40, heads = 40, mlp_width = 13824", "depth = 32, heads = 32, mlp_width = 11008"
    )
    program = written(text.replace("width = 5120, depth", "width = 4096, depth"))

    found = count_stage(program, program.stages[0])

    assert sum(part.adapters for part in found) == 319_815_680


def test_ledger_joins_texts_and_counts_the_context():
    (ledger,) = ledgers(shipped("llava_v1_5", "7b"))

    kinds = [entry.kind for entry in ledger.entries]

    assert kinds == ["token", "text", "image", "text", "slot", "text", "slot", "token"]
    assert (ledger.special, str(ledger.visual), ledger.left, ledger.most_images) == (
        2,
        "576",
        3518,
        7,
    )
