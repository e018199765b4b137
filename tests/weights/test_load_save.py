"""Weights into a module and back, under every kind of name."""

import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from lmmdsl.backends.torch.saving import save_weights  # noqa: E402
from lmmdsl.backends.torch.weights import load_weights  # noqa: E402
from lmmdsl.weights.plan import WeightsFailed  # noqa: E402
from tests.weights.trees import (  # noqa: E402
    definition,
    layer,
    linear,
    param,
    part,
    program,
    rule,
    stack,
    tower,
)

pytestmark = pytest.mark.torch


def module(spec, device="cpu", packed=None):
    """A module with the parameters of a program, those of `packed` joined."""
    packed = packed or {}
    sizes = {path: tuple(s.value for s in p.shape) for path, p in spec.root.params()}
    for name, paths in packed.items():
        shapes = [sizes.pop(path) for path in paths]
        sizes[name] = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    net = torch.nn.Module()
    for path, shape in sizes.items():
        *head, name = path.split(".")
        owner = net
        for step in head:
            if not hasattr(owner, step):
                owner.add_module(step, torch.nn.Module())
            owner = getattr(owner, step)
        owner.register_parameter(name, torch.nn.Parameter(torch.randn(shape, device=device)))
    net.lmm_program = spec
    net.lmm_packed = packed
    return net


TREE = definition("M", part("vision", tower()), part("proj", linear(4, 2)))
RULES = (
    rule("vision", "visual"),
    rule("vision.layers", "visual.blocks"),
    rule("proj", "projector", "model.projector"),
)


def mapped(*rules, scheme="hf", root=None, full=TREE):
    return program(full, *(rules or RULES), scheme=scheme, root=root)


def same(one, other):
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("scheme", ["hf", "packed", None])
@pytest.mark.parametrize("shard_size", [None, 100])
def test_what_is_saved_loads_back(tmp_path, scheme, shard_size):
    spec = mapped(scheme=scheme or "hf")
    first, second = module(spec), module(spec, device="meta")

    files = save_weights(first, tmp_path / "out", scheme, shard_size=shard_size)
    load_weights(second, tmp_path / "out", scheme)

    assert same(first, second)
    assert (len(files) > 1) == (shard_size is not None)
    assert {f.name for f in (tmp_path / "out").iterdir()} == {f.name for f in files}


def test_packed_names_hold_the_rows_in_order(tmp_path):
    net = module(mapped(scheme="packed"))

    save_weights(net, tmp_path / "m.safetensors", "packed")

    stored = load_file(tmp_path / "m.safetensors")
    q, k, v = (net.vision.layers.get_submodule(f"0.{name}").weight for name in "qkv")
    assert torch.equal(stored["visual.blocks.0.attn.in_proj_weight"], torch.cat([q, k, v]))


def test_interleaved_and_transposed_rows(tmp_path):
    parts = (part("q", linear(6, 8)), part("k", linear(6, 4)), part("v", linear(6, 4)))
    line = rule("a.q a.k a.v", "qkv", groups=2, transposed=True)
    spec = mapped(line, full=definition("M", part("a", definition("A", *parts))))
    net = module(spec)

    save_weights(net, tmp_path / "m.safetensors", "hf")
    again = load_weights(module(spec), tmp_path / "m.safetensors", "hf")

    stored = load_file(tmp_path / "m.safetensors")["qkv.weight"]
    q, k, v = (getattr(net.a, name).weight for name in "qkv")
    rows = torch.cat([q[:4], k[:2], v[:2], q[4:], k[2:], v[2:]])
    assert torch.equal(stored, rows.T)
    assert same(net, again)


def test_squeezed_names_hold_all_axes_but_the_first(tmp_path):
    line = rule("a.table", "words.weight", squeezed=True)
    spec = mapped(line, full=definition("M", part("a", definition("A", param("table", 1, 5, 3)))))
    net = module(spec)

    save_weights(net, tmp_path / "m.safetensors", "hf")
    again = load_weights(module(spec), tmp_path / "m.safetensors", "hf")

    assert load_file(tmp_path / "m.safetensors")["words.weight"].shape == (5, 3)
    assert same(net, again)


def test_a_module_with_joined_parameters_loads_and_saves_the_same_names(tmp_path):
    plain = module(mapped())
    joined = {
        f"vision.layers.{i}.qkv.{kind}": tuple(f"vision.layers.{i}.{n}.{kind}" for n in "qkv")
        for i in range(2)
        for kind in ("weight", "bias")
    }
    save_weights(plain, tmp_path / "a.safetensors", "hf")

    for device in ("cpu", "meta"):
        fused = module(mapped(), device, joined)
        load_weights(fused, tmp_path / "a.safetensors", "hf")
        save_weights(fused, tmp_path / "b.safetensors", "hf")

        one, other = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_numbers_take_the_kind_that_is_asked_for(tmp_path):
    spec = mapped()
    save_weights(module(spec), tmp_path / "m.safetensors", "hf")

    kept = load_weights(module(spec).half(), tmp_path / "m.safetensors", "hf")
    asked = load_weights(module(spec), tmp_path / "m.safetensors", "hf", dtype=torch.bfloat16)

    assert {p.dtype for p in kept.parameters()} == {torch.float16}
    assert {p.dtype for p in asked.parameters()} == {torch.bfloat16}


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    spec = mapped()
    net = module(spec)
    save_weights(net, tmp_path / "m.safetensors", "hf")
    tensors = load_file(tmp_path / "m.safetensors")
    tensors["projector.weights"] = tensors.pop("projector.weight")
    save_file(tensors, tmp_path / "m.safetensors")
    before = {name: value.clone() for name, value in net.state_dict().items()}

    with pytest.raises(WeightsFailed) as caught:
        load_weights(net, tmp_path / "m.safetensors", "hf")

    assert [d.code for d in caught.value.diagnostics] == ["E0706"]
    assert "projector.weight <- projector.weights" in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_file_that_is_cut_short_is_one_clear_error(tmp_path):
    net = module(mapped())
    save_weights(net, tmp_path / "m.safetensors")
    content = (tmp_path / "m.safetensors").read_bytes()
    (tmp_path / "m.safetensors").write_bytes(content[:-4])

    with pytest.raises(WeightsFailed, match=r"E0707.*cut short"):
        load_weights(net, tmp_path / "m.safetensors")


def test_parts_without_use_are_carried_from_the_checkpoint_they_came_from(tmp_path):
    full = definition("M", part("vision", tower(3)), part("proj", linear(4, 2)))
    whole, lean = mapped(full=full), mapped(full=full, root=TREE)
    save_weights(module(whole), tmp_path / "a.safetensors", "hf")

    net = load_weights(module(lean), tmp_path / "a.safetensors", "hf")
    save_weights(net, tmp_path / "b.safetensors", "hf", carry=tmp_path / "a.safetensors")

    one, other = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_second_name_must_hold_the_same_values(tmp_path):
    spec = mapped(
        rule("s.q", "s.{i}.q", "s.{i}.copy"), full=definition("M", stack("s", layer(), 1))
    )
    net = module(spec)
    save_weights(net, tmp_path / "m.safetensors", "hf")
    tensors = load_file(tmp_path / "m.safetensors")

    save_file(
        tensors | {"s.0.copy.bias": tensors["s.0.q.bias"].clone()}, tmp_path / "same.safetensors"
    )
    load_weights(net, tmp_path / "same.safetensors", "hf")
    save_file(
        tensors | {"s.0.copy.bias": tensors["s.0.q.bias"] + 1}, tmp_path / "other.safetensors"
    )
    with pytest.raises(WeightsFailed, match=r"s\.0\.copy\.bias is different"):
        load_weights(net, tmp_path / "other.safetensors", "hf")


def test_saving_leaves_no_trace_of_an_earlier_checkpoint(tmp_path):
    net = module(mapped())
    (tmp_path / "config.json").write_text("{}")

    save_weights(net, tmp_path, shard_size=100)
    shards = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    save_weights(net, tmp_path)

    assert len(set(shards.values())) > 1
    assert {f.name for f in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    assert same(load_weights(module(mapped()), tmp_path), net)


def test_a_failed_run_leaves_the_previous_checkpoint_whole(tmp_path, monkeypatch):
    net = module(mapped())
    save_weights(net, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    net.proj.weight.data += 1

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lmmdsl.backends.torch.saving.save_file", full_disk)
    with pytest.raises(WeightsFailed, match="no space left on device"):
        save_weights(net, tmp_path)

    assert {f.name for f in tmp_path.iterdir()} == {"model.safetensors"}
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_module_that_lost_its_parameters_is_refused(tmp_path):
    net = module(mapped())
    save_weights(net, tmp_path)
    del net.proj.bias

    for act in (load_weights, save_weights):
        with pytest.raises(ValueError, match=r"no longer holds `proj\.bias`"):
            act(net, tmp_path)
