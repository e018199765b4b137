import stat
from pathlib import Path

import pytest
import torch

import lmmdsl
from lmmdsl.backends.torch.module import build_module, private_folder, write_source
from tests.backends.torch.conftest import SPECS

TINY = {
    "vision.image_size": 28,
    "vision.patch_size": 7,
    "vision.width": 32,
    "vision.depth": 3,
    "vision.heads": 4,
    "vision.mlp_width": 90,
    "llm.width": 40,
    "llm.depth": 2,
    "llm.heads": 4,
    "llm.mlp_width": 108,
    "llm.vocab": 128,
}


def test_module_is_the_file(net):
    assert type(net).__module__.startswith("lmmdsl_emitted.")
    assert net.source_file.endswith(".py")
    assert "class LLaVA_v1_5(" in Path(net.source_file).read_text(encoding="utf-8")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_module_works_in_each_precision(build, program, dtype):
    net = build(program, dtype=dtype)
    ids = torch.tensor([[1, *[127] * 16, 5]])

    with torch.no_grad():
        scores = net(ids, torch.randn(1, 3, 28, 28))

    assert scores.dtype is dtype
    assert scores.isfinite().all()
    assert net.generate(ids, torch.randn(1, 3, 28, 28), max_new_tokens=3).shape[1] <= 21
    assert torch.get_default_dtype() is torch.float32


def test_full_size_module_needs_no_memory_on_meta(tmp_path):
    program = lmmdsl.load(SPECS / "llava_v1_5.lmm").program

    net = build_module(program, device="meta", folder=tmp_path)

    assert all(parameter.is_meta for parameter in net.parameters())
    ids = torch.zeros(1, 600, dtype=torch.long, device="meta")
    pixels = torch.zeros(1, 3, 336, 336, device="meta")
    assert net(ids, pixels).shape == (1, 600, 32000)


def test_same_source_goes_to_the_same_file(tmp_path):
    first = write_source("x = 1\n", "Net", tmp_path)

    assert write_source("x = 1\n", "Net", tmp_path) == first
    assert write_source("x = 2\n", "Net", tmp_path) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_private_folder_is_the_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    folder = private_folder()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_private_folder_that_others_can_write_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    private_folder().chmod(0o777)

    with pytest.raises(PermissionError, match="can be written by others"):
        private_folder()


def test_stage_trains_its_parts_alone(net):
    count = net.set_stage("pretrain")

    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in net.named_parameters() if name.startswith("proj.")}
    assert count == sum(p.numel() for p in net.proj.parameters())


def test_unknown_stage_names_those_that_exist(net):
    with pytest.raises(ValueError, match="no stage 'pretrian', only 'pretrain', 'finetune'"):
        net.set_stage("pretrian")


def test_parameter_groups_decay_matrices_only(net):
    groups = net.parameter_groups("finetune", weight_decay=0.1, rates={"proj": 1e-3})

    assert {g["name"] for g in groups} == {"proj", "proj (vectors)", "llm", "llm (vectors)"}
    assert all((g["weight_decay"] > 0) == (g["params"][0].ndim > 1) for g in groups)
    assert [g["lr"] for g in groups if "lr" in g] == [1e-3, 1e-3]
    count = sum(len(g["params"]) for g in groups)
    assert count == len(net.stage_parameters("finetune"))


def test_parameter_groups_refuse_a_rate_of_nothing(net):
    with pytest.raises(ValueError, match=r"stage 'pretrain' at the rate of \['llm'\]"):
        net.parameter_groups("pretrain", rates={"llm": 1e-3})


def test_adapters_train_alone_and_change_nothing_at_first(compile_text, build):
    text = (SPECS / "llava_v1_5.lmm").read_text(encoding="utf-8")
    stage = "stage adapt { train proj  lora(rank = 3, alpha = 6) on llm.layers[*].attn.q }\n  variant 13b"
    program = compile_text(text.replace("variant 13b ", stage + " ", 1), settings=TINY)
    net = build(program)
    ids = torch.tensor([[1, 5, 6]])
    with torch.no_grad():
        before = net(ids)

    count = net.set_stage("adapt")

    assert net.ADAPTERS == {"adapt": (("llm.layers.*.attn.q", 3, 6.0),)}
    assert count == sum(p.numel() for p in net.proj.parameters()) + 2 * 3 * (40 + 40)
    torch.testing.assert_close(net(ids), before)
    net(ids).sum().backward()
    assert net.llm.layers[1].attn.q.lora_up.grad is not None
    assert net.llm.layers[1].attn.q.weight.grad is None
