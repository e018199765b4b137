"""Coverage from headers alone."""

from pathlib import Path

from lmmdsl.diag.sink import Sink
from lmmdsl.weights.coverage import cover
from lmmdsl.weights.header import Checkpoint, Tensor
from lmmdsl.weights.map import map_program
from tests.weights.trees import definition, linear, param, part, program, rule


def checkpoint(**shapes):
    found = {}
    for name, shape in shapes.items():
        dtype, shape = shape if isinstance(shape[0], str) else ("F32", shape)
        name = name.replace("__", ".")
        found[name] = Tensor(name, Path("model.safetensors"), dtype, shape, 0, 0)
    return Checkpoint(found, (Path("model.safetensors"),))


def covered(full, used, *rules, **shapes):
    names = map_program(program(full, *rules), "hf", Sink())
    return cover(names, used, checkpoint(**shapes))


MODEL = definition("M", part("a", linear(3, 4)), part("b", linear(4, 2)))
USED = ("a.weight", "a.bias", "b.weight", "b.bias")
FULL = {"a__weight": (4, 3), "a__bias": (4,), "b__weight": (2, 4), "b__bias": (2,)}


def test_everything_in_its_place_fits():
    found = covered(MODEL, USED, **FULL)

    assert found.fits
    assert [load.path for load in found.loads] == list(USED)


def test_all_that_does_not_fit_is_listed_with_near_names():
    wrong = FULL | {"a__weight": (3, 4), "a__bios": (4,)}
    del wrong["a__bias"]

    problem = covered(MODEL, USED, **wrong).mismatch("model.safetensors")

    assert problem.missing == ("a.bias",)
    assert problem.unexpected == ("a.bios",)
    assert problem.misshapen == (("a.weight", "[4, 3]", "[3, 4]"),)
    assert problem.near == (("a.bias", "a.bios"),)


def test_tensors_of_parts_that_the_model_never_uses_are_known():
    found = covered(MODEL, USED[:2], **FULL)

    assert found.fits
    assert [tensor.name for tensor in found.unused] == ["b.weight", "b.bias"]
    assert covered(MODEL, USED[:2], a__weight=(4, 3), a__bias=(4,)).fits


def test_quantised_numbers_are_not_weights():
    found = covered(MODEL, USED, **FULL | {"a__bias": ("I8", (4,))})

    assert found.misshapen == (("a.bias", "a float tensor", "I8 [4]"),)


def test_ignored_names_and_second_names_are_no_surprise():
    full = definition("M", param("embed", 5, 4))
    rules = (rule("embed", "embed_tokens", "lm_head"), rule("", "*.inv_freq"))

    found = covered(full, ("embed",), *rules, embed_tokens=(5, 4), lm_head=(5, 4), r__inv_freq=(2,))

    assert found.fits
    assert [(a.name, b.name) for a, b in found.copies] == [("lm_head", "embed_tokens")]
    assert [tensor.name for tensor in found.ignored] == ["r.inv_freq"]


def test_two_parameters_may_read_one_tensor():
    full = definition("M", param("embed", 5, 4), param("head", 5, 4))
    line = rule("head", "lm_head", "embed")

    tied = covered(full, ("embed", "head"), line, embed=(5, 4))
    untied = covered(full, ("embed", "head"), line, embed=(5, 4), lm_head=(5, 4))

    assert [load.tensor.name for load in tied.loads] == ["embed", "embed"]
    assert [load.tensor.name for load in untied.loads] == ["embed", "lm_head"]
    assert not untied.copies
