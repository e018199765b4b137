"""Published weight names: every tensor of a reference is one of ours, on loading and on saving, and has its size."""

from pathlib import Path

import pytest

from lmmdsl.diag.sink import Sink
from lmmdsl.weights.map import map_program
from lmmdsl.weights.pattern import matcher
from tests.support.programs import shipped

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens"
SAVED = [
    "mplug_owl-encoder-a",
    "mplug_owl-connector-a",
    "mplug_owl-model-a",
    "internlm_7b-llm-a",
    "flan_t5-llm-a",
    "blip2-t5-a",
    "ferret-sampler-a",
    "fuyu-model-a",
    "cogvlm-encoder-a",
    "cogvlm-model-a",
    "cogvlm_hf-model-a",
    "cogvlm2-model-a",
    "internlm_xcomposer-encoder-a",
    "internlm_xcomposer-connector-a",
    "internlm_xcomposer-model-a",
    "minigpt_v2-whole-a",
    "qwen_vl-encoder-a",
    "qwen_vl-model-a",
    "qwen_7b-llm-a",
    "chatglm-llm-a",
    "visualglm-connector-a",
    "visualglm-model-a",
    "flamingo-encoder-a",
    "flamingo-connector-a",
    "flamingo-xattn-a",
    "flamingo-sqrelu-a",
    "flamingo-model-a",
    "albef-encoder-a",
    "albef-model-a",
    "albef-vqa-a",
]

OWL = {
    "query_tokens": (1, 64, 1024),
    "vision_model.embeddings.cls_token": (1, 1, 1024),
    "vision_model.embeddings.position_embedding": (1, 257, 1024),
    "vision_model.embeddings.patch_embed.weight": (1024, 3, 14, 14),
    "vision_model.encoder.layers.23.self_attn.query_key_value.weight": (3072, 1024),
    "vision_model.encoder.layers.23.mlp.fc2.weight": (1024, 4096),
    "vision_model.post_layernorm.bias": (1024,),
    "abstractor.encoder.layers.5.crossattention.output.mlp.w1.weight": (2816, 1024),
    "abstractor.encoder.layers.5.crossattention.output.mlp.ffn_ln.weight": (2816,),
    "abstractor.visual_fc.weight": (4096, 1024),
    "abstractor.vit_eos": (1, 1, 4096),
    "language_model.model.layers.31.mlp.down_proj.weight": (4096, 11008),
    "language_model.lm_head.weight": (32000, 4096),
}
QWEN = {
    "transformer.visual.conv1.weight": (1664, 3, 14, 14),
    "transformer.visual.positional_embedding": (256, 1664),
    "transformer.visual.transformer.resblocks.47.attn.in_proj.weight": (4992, 1664),
    "transformer.visual.transformer.resblocks.47.mlp.c_fc.bias": (8192,),
    "transformer.visual.attn_pool.pos_embed": (256, 4096),
    "transformer.visual.attn_pool.query": (256, 4096),
    "transformer.visual.attn_pool.kv_proj.weight": (4096, 1664),
    "transformer.visual.attn_pool.attn.in_proj_weight": (12288, 4096),
    "transformer.visual.attn_pool.attn.in_proj_bias": (12288,),
    "transformer.visual.ln_post.weight": (4096,),
    "transformer.visual.proj": (4096, 4096),
    "transformer.wte.weight": (151936, 4096),
    "transformer.h.31.attn.c_attn.bias": (12288,),
    "transformer.h.31.mlp.w1.weight": (11008, 4096),
    "transformer.ln_f.weight": (4096,),
    "lm_head.weight": (151936, 4096),
}
MINIGPT = {
    "visual_encoder.pos_embed": (1, 1025, 1408),
    "visual_encoder.blocks.38.attn.qkv.weight": (4224, 1408),
    "visual_encoder.blocks.38.attn.q_bias": (1408,),
    "ln_vision.bias": (1408,),
    "llama_proj.weight": (4096, 5632),
    "llama_model.base_model.model.model.embed_tokens.weight": (32000, 4096),
    "llama_model.base_model.model.model.layers.31.self_attn.q_proj.weight": (4096, 4096),
    "llama_model.base_model.model.model.layers.31.self_attn.q_proj.lora_A.weight": (64, 4096),
    "llama_model.base_model.model.model.layers.31.self_attn.v_proj.lora_B.weight": (4096, 64),
    "llama_model.base_model.model.lm_head.0.weight": (32000, 4096),
}
XCOMPOSER = {
    "visual_encoder.pos_embed": (1, 257, 1408),
    "query_tokens": (1, 64, 768),
    "Qformer.bert.embeddings.LayerNorm.bias": (768,),
    "Qformer.bert.encoder.layer.10.crossattention.self.key.weight": (768, 1408),
    "Qformer.bert.encoder.layer.11.output_query.LayerNorm.bias": (768,),
    "internlm_proj.weight": (4096, 768),
    "flag_image_start": (1, 1, 4096),
    "flag_image_end": (1, 1, 4096),
    "internlm_model.model.layers.31.self_attn.o_proj.bias": (4096,),
    "internlm_model.model.layers.31.self_attn.q_proj.lora_A.weight": (256, 4096),
    "internlm_model.model.layers.31.mlp.up_proj.lora_B.weight": (11008, 256),
    "internlm_model.model.layers.31.mlp.down_proj.lora_A.weight": (256, 11008),
    "internlm_model.lm_head.weight": (103170, 4096),
}
SAT = {
    "vit.mixins.patch_embedding.proj.weight": (1408, 3, 14, 14),
    "vit.transformer.word_embeddings.weight": (1, 1408),
    "vit.transformer.position_embeddings.weight": (257, 1408),
    "vit.transformer.layers.38.attention.query_key_value.bias": (4224,),
    "vit.transformer.layers.38.mlp.dense_h_to_4h.weight": (6144, 1408),
    "vit.mixins.cls.ln_vision.bias": (1408,),
    "qformer.transformer.word_embeddings.weight": (32, 768),
    "qformer.transformer.layers.0.input_layernorm.weight": (768,),
    "qformer.transformer.layers.10.cross_attention.key_value.weight": (1536, 1408),
    "qformer.transformer.layers.10.post_cross_attention_layernorm.bias": (768,),
    "qformer.transformer.layers.11.attention.dense.weight": (768, 768),
    "qformer.transformer.final_layernorm.weight": (768,),
    "glm_proj.weight": (4096, 768),
}
GLM = {
    "transformer.word_embeddings.weight": (130528, 4096),
    "transformer.layers.27.input_layernorm.bias": (4096,),
    "transformer.layers.27.attention.query_key_value.weight": (12288, 4096),
    "transformer.layers.27.mlp.dense_4h_to_h.weight": (4096, 16384),
    "transformer.final_layernorm.weight": (4096,),
}
VISUALGLM_HUB = {
    "lm_head.weight": (130528, 4096),
    **GLM,
    **{f"image_encoder.{name}": shape for name, shape in SAT.items()},
}
VISUALGLM_SAT = {
    "mixins.chatglm-final.lm_head.weight": (130528, 4096),
    **GLM,
    **{f"mixins.eva.model.{name}": shape for name, shape in SAT.items()},
}
VISUALGLM = 4 + 39 * 12 + 2 + 1 + 12 * 12 + 6 * 8 + 2 + 2 + 1 + 28 * 12 + 2 + 1
EVA = 4 + 39 * 13
_LAYER = "text_encoder.bert.encoder.layer"
ALBEF = {
    "visual_encoder.cls_token": (1, 1, 768),
    "visual_encoder.pos_embed": (1, 257, 768),
    "visual_encoder.patch_embed.proj.weight": (768, 3, 16, 16),
    "visual_encoder.blocks.11.attn.qkv.bias": (2304,),
    "visual_encoder.norm.weight": (768,),
    "text_encoder.bert.embeddings.token_type_embeddings.weight": (2, 768),
    "text_encoder.bert.embeddings.word_embeddings.weight": (30522, 768),
    f"{_LAYER}.0.attention.self.query.weight": (768, 768),
    f"{_LAYER}.5.output.LayerNorm.weight": (768,),
    f"{_LAYER}.6.crossattention.self.key.weight": (768, 768),
    f"{_LAYER}.11.crossattention.output.LayerNorm.bias": (768,),
    f"{_LAYER}.11.intermediate.dense.weight": (3072, 768),
    "text_encoder.cls.predictions.bias": (30522,),
    "text_encoder.cls.predictions.transform.LayerNorm.weight": (768,),
    "vision_proj.weight": (256, 768),
    "itm_head.weight": (2, 768),
    "temp": (),
}
ALBEF_VQA = {
    "visual_encoder.pos_embed": (1, 577, 768),
    "text_encoder.encoder.layer.6.crossattention.self.value.weight": (768, 768),
    "text_decoder.bert.encoder.layer.0.crossattention.self.query.weight": (768, 768),
    "text_decoder.bert.embeddings.position_embeddings.weight": (512, 768),
    "text_decoder.cls.predictions.transform.dense.weight": (768, 768),
}
_ENCODER, _DECODER = "t5_model.encoder.block", "t5_model.decoder.block"
T5 = {
    "t5_model.shared.weight": (32128, 2048),
    "t5_model.lm_head.weight": (32128, 2048),
    f"{_ENCODER}.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 32),
    f"{_ENCODER}.23.layer.1.DenseReluDense.wi_1.weight": (5120, 2048),
    f"{_DECODER}.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 32),
    f"{_DECODER}.23.layer.1.EncDecAttention.k.weight": (2048, 2048),
    f"{_DECODER}.23.layer.2.layer_norm.weight": (2048,),
    "t5_model.decoder.final_layer_norm.weight": (2048,),
    "t5_proj.weight": (2048, 768),
}
READS = 2 + 1 + 2 + 12 * 16 + 6 * 10 + 2 + (24 * 9 + 2) + (24 * 14 + 2) + 2
FUYU = {
    "vision_embed_tokens.weight": (4096, 2700),
    "language_model.model.embed_tokens.weight": (262144, 4096),
    "language_model.model.layers.35.self_attn.query_key_value.weight": (12288, 4096),
    "language_model.model.layers.35.self_attn.q_layernorm.bias": (64,),
    "language_model.model.final_layernorm.bias": (4096,),
    "language_model.lm_head.weight": (262144, 4096),
}
EXPERTS = {
    "model.embed_tokens.weight": (32000, 4096),
    "model.layers.31.input_layernorm.weight": (4096,),
    "model.layers.31.self_attn.language_expert_query_key_value.weight": (12288, 4096),
    "model.layers.31.self_attn.vision_expert_query_key_value.weight": (12288, 4096),
    "model.layers.31.self_attn.vision_expert_dense.weight": (4096, 4096),
    "model.layers.31.mlp.vision_mlp.down_proj.weight": (4096, 11008),
    "model.vision.boi": (1, 1, 4096),
    "model.vision.linear_proj.dense_h_to_4h.weight": (11008, 4096),
    "model.vision.patch_embedding.cls_embedding": (1, 1792),
    "model.vision.patch_embedding.position_embedding.weight": (1226, 1792),
    "model.vision.transformer.layers.62.mlp.fc1.weight": (15360, 1792),
}
EXPERTS_SAT = {
    "transformer.word_embeddings.weight": (32000, 4096),
    "transformer.layers.31.attention.query_key_value.weight": (12288, 4096),
    "transformer.layers.31.mlp.dense_h_to_4h.weight": (11008, 4096),
    "mixins.rotary.vision_query_key_value_list.31.weight": (12288, 4096),
    "mixins.mlp.gate_proj.31.weight": (11008, 4096),
    "mixins.mlp.vision_dense_4h_to_h_list.31.weight": (4096, 11008),
    "mixins.eva.vit_model.transformer.word_embeddings.weight": (1, 1792),
    "mixins.eva.eoi": (1, 1, 4096),
    "mixins.lm.lm_head.weight": (32000, 4096),
}
EXPERTS_2 = {
    "model.layers.31.self_attn.language_expert_query_key_value.weight": (6144, 4096),
    "model.layers.31.self_attn.vision_expert_query_key_value.bias": (6144,),
    "model.vision.conv.weight": (1792, 1792, 2, 2),
    "model.vision.patch_embedding.position_embedding.weight": (9217, 1792),
}
EXPERT_TENSORS = 4 + 63 * 12 + 6 + 2 + 32 * 12 + 3
OPEN_FLAMINGO = {
    "vision_encoder.class_embedding": (1024,),
    "vision_encoder.transformer.resblocks.23.attn.in_proj_weight": (3072, 1024),
    "perceiver.latents": (64, 1024),
    "perceiver.layers.5.0.to_q.weight": (512, 1024),
    "perceiver.layers.5.0.to_kv.weight": (1024, 1024),
    "perceiver.layers.5.1.0.weight": (1024,),
    "perceiver.layers.5.1.1.weight": (4096, 1024),
    "perceiver.norm.bias": (1024,),
    "lang_encoder.transformer.wte.weight": (50280, 4096),
    "lang_encoder.transformer.blocks.30.decoder_layer.norm_1.weight": (4096,),
    "lang_encoder.transformer.blocks.31.decoder_layer.attn.Wqkv.weight": (12288, 4096),
    "lang_encoder.transformer.blocks.31.gated_cross_attn_layer.attn_gate": (1,),
    "lang_encoder.transformer.blocks.3.gated_cross_attn_layer.attn.to_kv.weight": (1024, 1024),
    "lang_encoder.transformer.blocks.3.gated_cross_attn_layer.ff.1.weight": (16384, 4096),
    "lang_encoder.transformer.norm_f.weight": (4096,),
}
OPEN_FLAMINGO_4B = {
    "lang_encoder.gpt_neox.embed_in.weight": (50280, 2560),
    "lang_encoder.gpt_neox.layers.30.decoder_layer.attention.query_key_value.weight": (7680, 2560),
    "lang_encoder.gpt_neox.layers.31.decoder_layer.mlp.dense_h_to_4h.bias": (10240,),
    "lang_encoder.gpt_neox.layers.31.gated_cross_attn_layer.attn.to_q.weight": (512, 2560),
    "lang_encoder.gpt_neox.layers.1.gated_cross_attn_layer.ff_gate": (1,),
    "lang_encoder.embed_out.weight": (50280, 2560),
}
# Per spec and scheme: how many tensors the published checkpoint has, and some of them.
PUBLISHED = [
    ("mplug_owl", "mplug", 1 + 5 + 24 * 12 + 2 + 6 * 22 + 3 + 32 * 9 + 3, OWL),
    (
        "open_flamingo",
        "open",
        5 + 24 * 12 + 1 + 6 * 11 + 2 + 2 + 32 * 6 + 8 * 11,
        OPEN_FLAMINGO,
    ),
    (
        "open_flamingo_4b",
        "open",
        5 + 24 * 12 + 1 + 6 * 11 + 2 + 4 + 32 * 12 + 16 * 11,
        OPEN_FLAMINGO_4B,
    ),
    ("minigpt_v2", "lavis", EVA + 2 + 2 + 32 * (9 + 4) + 3, MINIGPT),
    (
        "internlm_xcomposer_vl",
        "lavis",
        EVA + 2 + 1 + 2 + 12 * 16 + 6 * 10 + 2 + 2 + 32 * (9 + 4 + 8) + 3,
        XCOMPOSER,
    ),
    ("blip2_t5", "lavis", EVA + READS, T5),
    ("blip2_vit_l", "lavis", 5 + 23 * 12 + READS, T5),
    ("fuyu_8b", "hf", 2 + 1 + 36 * 16 + 2 + 1, FUYU),
    ("cogvlm", "hf", EXPERT_TENSORS, EXPERTS),
    ("cogvlm", "sat", EXPERT_TENSORS, EXPERTS_SAT),
    ("cogvlm2", "hf", EXPERT_TENSORS + 2 + 32, EXPERTS_2),
    ("qwen_vl", "qwen", 4 + 48 * 12 + 11 + 3 + 32 * 8 + 3, QWEN),
    ("albef", "albef", 4 + 12 * 12 + 2 + 5 + 6 * 16 + 6 * 26 + 5 + 7, ALBEF),
    ("albef_vqa", "albef", 4 + 12 * 12 + 2 + 5 + 6 * 16 + 6 * 26 + 5 + 6 * 26 + 5, ALBEF_VQA),
    ("visualglm_6b", "hf", VISUALGLM, VISUALGLM_HUB),
    ("visualglm_6b", "sat", VISUALGLM, VISUALGLM_SAT),
]


@pytest.mark.parametrize(("spec", "scheme", "count", "some"), PUBLISHED)
def test_names_and_sizes_are_the_published_ones(spec, scheme, count, some):
    sink = Sink()
    program = shipped(spec)
    sources = map_program(program, scheme, sink).sources

    found = {sources[path].names[0]: sources[path].shape for path in dict(program.root.params())}

    assert not sink.has_errors
    assert {name: found.get(name) for name in some} == some
    assert len(found) == count


@pytest.mark.parametrize(
    ("spec", "scheme", "name"),
    [
        ("internlm_xcomposer_vl", "lavis", "Qformer.bert.embeddings.position_ids"),
        (
            "internlm_xcomposer_vl",
            "lavis",
            "internlm_model.model.layers.31.self_attn.rotary_emb.inv_freq",
        ),
        ("visualglm_6b", "hf", "transformer.layers.27.attention.rotary_emb.inv_freq"),
        ("visualglm_6b", "sat", "mixins.chatglm-attn.rotary_emb.inv_freq"),
        ("cogvlm", "sat", "mixins.rotary.rotary_emb.inv_freq"),
        ("cogvlm2", "hf", "model.layers.31.self_attn.rotary_emb.inv_freq"),
    ],
)
def test_tables_that_can_be_computed_are_ignored(spec, scheme, name):
    names = map_program(shipped(spec), scheme, Sink())

    assert matcher(names.ignored).fullmatch(name)


@pytest.mark.torch
@pytest.mark.parametrize("name", SAVED)
def test_saving_gives_back_the_checkpoint_that_was_loaded(name, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    load_file = pytest.importorskip("safetensors.torch").load_file
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from goldens_adapters import find_adapter
    from goldens_adapters.case import read_case
    from goldens_adapters.model import TorchRunner, find_naming

    import lmmdsl

    case = read_case(GOLDENS / name)
    spec = find_adapter(case).build(case)
    net = TorchRunner(spec, case.weights).net
    naming, _ = find_naming(spec.program, case.weights)
    lmmdsl.save_weights(net, tmp_path / "saved.safetensors", naming=naming)

    wanted, saved = load_file(case.weights), load_file(tmp_path / "saved.safetensors")
    assert set(saved) == set(wanted)
    assert all(torch.equal(saved[key], wanted[key]) for key in wanted)
