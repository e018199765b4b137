"""Parameters of the specs at full size equal those of the published models, counted without allocating them."""

import pytest

from lmmdsl.passes.stages import count_stage
from tests.support.programs import shipped, written

EVA = """
from std.vision.eva import EvaVit

model Tower {{
  encoder vision: EvaVit(
    image_size = {size}, patch_size = 14, width = 1408, depth = 39, heads = 16, mlp_width = 6144
  )

  flow run(image: [B, 3, {size}, {size}]) -> [B, {tokens}, 1408] {{
    return vision(image)
  }}
}}
"""

INTERNLM = """
from std.llm.llama import Llama

model Alone {{
  llm llm: Llama(
    width = 4096, depth = 32, heads = 32, mlp_width = 11008, vocab = {vocab}, context = 2048,
    norm_eps = 1e-6, qkv_biased = true, out_biased = true
  )
}}
"""


FLAMINGO = """
from std.connector.perceiver import PerceiverResampler, squared_relu
from std.gated               import GatedXAttnDense
from std.vision.nfnet        import NfNet

model Parts {
  encoder vision: NfNet(
    image_size = 320, depths = [7, 14, 42, 21], widths = [256, 512, 1536, 1536],
    bottlenecks = [128, 256, 768, 768], se_widths = [128, 256, 768, 768], width = 3072
  )
  open:  PerceiverResampler(1024, depth = 6, heads = 8, head_dim = 64, mlp_width = 4096, queries = 64)
  paper: PerceiverResampler(
    1536, depth = 6, heads = 16, head_dim = 128, mlp_width = 6144, queries = 64, max_frames = 8, act = squared_relu
  )
  small: GatedXAttnDense(2048, 1024, heads = 8, head_dim = 64, mlp_width = 8192)
  large: GatedXAttnDense(8192, 1536, heads = 64, head_dim = 128, mlp_width = 32768, act = squared_relu)

  flow run(
    image: [I, 3, 320, 320], a: [I, 256, 1024], b: [I, 1, 8, 100, 1536],
    x: [B, T, 2048], y: [B, T, 8192], sees: bool[B, T, I]
  ) -> ([I, 100, 3072], [B, T, 2048], [B, T, 8192]) {
    return vision(image), small(x, open(a), sees), large(y, paper.videos(b), sees)
  }
}
"""


def count(definition, prefix=""):
    """Parameters in use below a path."""
    total = 0
    for path, param in definition.params():
        if path == prefix or path.startswith(f"{prefix}.") or not prefix:
            size = 1
            for axis in param.shape:
                size *= axis.value
            total += size
    return total


PARTS = [
    ("blip2", None, "vision", 985_894_528),
    ("blip2", None, "norm", 2_816),
    ("blip2", None, "qformer", 105_137_664 + 24_576),
    ("blip2", None, "proj", 1_968_640),
    ("blip2", None, "llm", 2_651_596_800),
    ("blip2", None, "", 3_744_625_024),
    ("blip2", "6.7b", "proj", 3_149_824),
    ("blip2", "6.7b", "llm", 6_658_473_984),
    ("blip2", "6.7b", "llm.layers.0", 201_379_840),
    ("blip2", "6.7b", "", 7_752_683_392),
    ("blip2", "2.7b-coco", "vision", 986_485_888),
    ("blip2", "2.7b-hf", "", 3_744_761_856),
    ("blip2", "6.7b-hf", "", 7_752_869_376),
    ("blip2_stage1", None, "qformer", 186_282_811 + 24_576),
    ("minigpt_v1", None, "", 14_110_861_184),
    ("minigpt_v1", None, "proj", 3_937_280),
    ("minigpt_v1", "7b", "", 7_832_625_024),
    ("minigpt_v1", "7b-v0", "", 7_832_633_216),
    ("minigpt_v1", "13b-v0", "", 14_110_871_424),
    ("minigpt_v1_llama2", None, "proj", 23_072_768),
    ("minigpt_v1_llama2", None, "", 7_747_385_728),
    ("minigpt_v2", None, "vision", 986_975_872),
    ("minigpt_v2", None, "proj", 23_072_768),
    ("minigpt_v2", None, "llm", 6_738_415_616 + 33_554_432),
    ("minigpt_v2", None, "", 7_782_021_504),
    ("blip2_t5", "xl", "llm", 2_849_757_184),
    ("blip2_t5", "xl", "", 3_942_391_680),
    ("blip2_t5", "xxl", "llm", 11_135_332_352),
    ("blip2_t5", "xxl", "", 12_229_541_760),
    ("blip2_vit_l", None, "qformer", 101_598_720 + 24_576),
    ("blip2_vit_l", None, "", 3_243_538_944),
    ("ferret", None, "vision", 290_909_184),
    ("ferret", None, "proj", 4_198_400),
    ("ferret", None, "sampler", 44_069_900),
    ("ferret", "13b", "proj", 5_248_000),
    ("ferret", "13b", "sampler", 45_119_500),
    ("ferret", "13b", "llm", 13_015_874_560),
    ("ferret", None, "llm", 6_738_423_808),
    # less what no image reaches: the last layer of the encoder and the norm behind it
    ("ferret", None, "", 7_090_199_564 - 303_507_456 + 290_909_184),
    ("ferret", "13b", "", 13_369_749_516 - 303_507_456 + 290_909_184),
    ("fuyu_8b", None, "proj", 11_063_296),
    ("fuyu_8b", None, "llm", 8_323_433_472 + 1_073_741_824),
    ("fuyu_8b", None, "", 9_408_238_592),
    ("cogvlm", None, "vision", 4_282_641_664),
    ("cogvlm", "224", "vision", 4_280_905_216),
    ("cogvlm", None, "adapter", 142_614_528),
    ("cogvlm", None, "frame", 8_192),
    ("cogvlm", None, "llm", 6_476_005_376 + 6_738_415_616),
    ("cogvlm", None, "", 17_639_685_376),
    ("cogvlm", "224", "", 17_637_948_928),
    ("cogvlm2", None, "vision", 4_296_961_536),
    ("cogvlm2", None, "halve", 12_846_848),
    ("cogvlm2", None, "adapter", 183_508_992),
    ("cogvlm2", None, "", 19_503_105_280),
    ("internlm_xcomposer_vl", None, "vision", 985_894_528),
    ("internlm_xcomposer_vl", None, "norm", 2_816),
    ("internlm_xcomposer_vl", None, "qformer", 105_137_664 + 49_152),
    ("internlm_xcomposer_vl", None, "proj", 3_149_824),
    ("internlm_xcomposer_vl", None, "frame", 8_192),
    ("internlm_xcomposer_vl", None, "llm", 7_321_964_544 + 381_681_664),
    ("internlm_xcomposer_vl", None, "", 8_797_888_384),
    ("internlm_xcomposer_vl", "article", "llm", 7_321_948_160 + 381_681_664),
    ("mplug_owl", None, "vision", 303_179_776),
    ("mplug_owl", None, "abstractor", 81_408_000 + 65_536),
    ("mplug_owl", None, "abstractor.layers.0", 12_867_584),
    ("mplug_owl", None, "llm", 6_738_415_616),
    ("mplug_owl", None, "", 7_123_068_928),
    ("qwen_vl", None, "vision", 1_842_770_688),
    ("qwen_vl", None, "vision.layers.0", 38_361_728),
    ("qwen_vl", None, "resampler", 92_839_936),
    ("qwen_vl", None, "llm", 7_721_324_544),
    ("qwen_vl", None, "llm.layers.0", 202_395_648),
    ("qwen_vl", None, "", 9_656_935_168),
    ("cross_attention", None, "q", 768 * 768),
    ("cross_attention", None, "k", 1024 * 768),
    ("cross_attention", None, "", 768 * 768 + 2 * 1024 * 768),
    ("open_flamingo", None, "resampler", 63_019_008),
    ("open_flamingo", None, "llm", 1_115_815_952 + 6_648_664_064),
    ("open_flamingo", None, "llm.layers.3.xattn", 139_476_994),
    (
        "open_flamingo",
        None,
        "",
        8_131_465_232 - 1024 * 770,
    ),  # less what only contrastive training reads
    ("open_flamingo_4b", None, "llm", 897_744_928 + 2_775_086_080),
    ("open_flamingo_4b", None, "", 4_039_816_224 - 1024 * 770),
    ("flamingo", None, "vision", 435_286_116),
    ("flamingo", None, "resampler", 188_912_640 + 3072 * 1536),
    ("flamingo", None, "llm.layers.77.xattn", 696_287_234),
    ("flamingo", "9b", "llm.layers.36.xattn", 180_371_458),
    ("flamingo", "3b", "llm.layers.23.xattn", 48_242_690),
    ("albef", None, "vision", 85_844_736),
    ("albef", None, "text.embeddings", 23_837_184),
    ("albef", None, "text.layers", 42_527_232),
    ("albef", None, "fusion", 56_710_656),
    ("albef", None, "fusion.layers.0.attn.cross", 2_363_904),
    ("albef", None, "vision_proj", 196_864),
    ("albef", None, "text_proj", 196_864),
    ("albef", None, "itm_head", 1_538),
    ("albef", None, "mlm_head", 622_650),
    ("albef", None, "temperature", 1),
    ("albef", None, "", 209_937_725),
    ("albef", "384", "vision", 86_090_496),
    ("albef", "384", "", 210_183_485),
    ("albef_vqa", None, "decoder", 81_170_490),
    ("albef_vqa", None, "", 290_336_058),
    ("albef_vqa", "256", "", 290_090_298),
    ("visualglm_6b", None, "vision", 985_952_256 - 2_816),
    ("visualglm_6b", None, "norm", 2_816),
    ("visualglm_6b", None, "qformer", 105_162_240),
    ("visualglm_6b", None, "proj", 3_149_824),
    ("visualglm_6b", None, "llm", 6_173_286_400 + 534_642_688),
    ("visualglm_6b", None, "llm.layers.0", 201_379_840),
    ("visualglm_6b", None, "", 7_802_193_408),
    ("visualglm_6b", "tied", "", 7_267_550_720),
]


@pytest.mark.parametrize(("spec", "variant", "part", "wanted"), PARTS)
def test_part_has_as_many_parameters_as_published(spec, variant, part, wanted):
    assert count(shipped(spec, variant).root, part) == wanted


SAMPLER = 105_137_664 + 49_152
STAGES = [
    ("minigpt_v2", "pretrain", 23_072_768 + 33_554_432),
    ("minigpt_v2", "multitask", 23_072_768 + 33_554_432),
    ("minigpt_v2", "instruct", 23_072_768 + 33_554_432),
    ("internlm_xcomposer_vl", "pretrain", SAMPLER + 3_149_824 + 7_321_964_544),
    ("internlm_xcomposer_vl", "instruct", SAMPLER + 381_681_664),
]


@pytest.mark.parametrize(("spec", "stage", "wanted"), STAGES)
def test_stage_trains_as_many_parameters_as_published(spec, stage, wanted):
    program = shipped(spec)
    found = next(item for item in program.stages if item.name == stage)

    assert sum(part.trained for part in count_stage(program, found)) == wanted


@pytest.mark.parametrize(
    ("size", "tokens", "wanted"),
    [(224, 257, 985_894_528), (364, 677, 986_485_888), (448, 1025, 986_975_872)],
)
def test_eva_tower_has_as_many_parameters_as_published(size, tokens, wanted):
    assert count(written(EVA.format(size=size, tokens=tokens)).root) == wanted


@pytest.mark.parametrize(("vocab", "wanted"), [(103168, 7_321_948_160), (103170, 7_321_964_544)])
def test_internlm_has_as_many_parameters_as_published(vocab, wanted):
    assert count(written(INTERNLM.format(vocab=vocab)).root) == wanted


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("vision", 435_286_116),
        ("vision.stages.2", 272_921_130),
        ("open", 63_019_008),
        ("paper", 188_912_640),
        ("small", 36_708_354),
        ("large", 696_287_234),
    ],
)
def test_part_of_flamingo_has_as_many_parameters_as_published(part, wanted):
    assert count(written(FLAMINGO).root, part) == wanted
