"""Published weight names: every tensor of a reference is one of ours, on loading and on saving, and has its size."""

from pathlib import Path

import pytest

from lmmdsl.diag.sink import Sink
from lmmdsl.weights.map import map_program
from tests.support.programs import shipped

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "tests" / "data" / "goldens"
SAVED = [
    "mplug_owl-encoder-a",
    "mplug_owl-connector-a",
    "mplug_owl-model-a",
    "internlm_7b-llm-a",
    "qwen_vl-encoder-a",
    "qwen_vl-model-a",
    "qwen_7b-llm-a",
    "flamingo-encoder-a",
    "flamingo-connector-a",
    "flamingo-xattn-a",
    "flamingo-sqrelu-a",
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
# Per spec and scheme: how many tensors the published checkpoint has, and some of them.
PUBLISHED = [
    ("mplug_owl", "mplug", 1 + 5 + 24 * 12 + 2 + 6 * 22 + 3 + 32 * 9 + 3, OWL),
    ("qwen_vl", "qwen", 4 + 48 * 12 + 11 + 3 + 32 * 8 + 3, QWEN),
]


@pytest.mark.parametrize(("spec", "scheme", "count", "some"), PUBLISHED)
def test_names_and_sizes_are_the_published_ones(spec, scheme, count, some):
    sink = Sink()
    sources = map_program(shipped(spec), scheme, sink).sources.values()

    found = {source.names[0]: source.shape for source in sources}

    assert not sink.has_errors
    assert {name: found.get(name) for name in some} == some
    assert len(found) == count


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
