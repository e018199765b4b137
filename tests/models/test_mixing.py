"""Every encoder, connector and language model of the library in one spec: it is sound, or a diagnostic says why not."""

from pathlib import Path

import pytest

import lmmdsl
from lmmdsl.resources import specs_folder
from tools import mix

# The resampler lays its queries over a square grid, which these encoders do not have.
REFUSED = {(encoder, "resampler"): ["E0206"] for encoder in ("vit", "nfnet", "patches")}

# Every pair of parts meets in one of these: a third part is the same for all of them.
COMPUTED = [
    *mix.mixes(llm="llama"),
    *mix.mixes(encoder="clip"),
    *mix.mixes(connector="linear"),
]


def codes(folder: Path, text: str) -> list[str]:
    path = folder / "mix.lmm"
    path.write_text(text, encoding="utf-8")
    return [found.code for found in lmmdsl.check(path) if found.code.startswith("E")]


@pytest.mark.parametrize("connector", mix.CONNECTORS)
@pytest.mark.parametrize("encoder", mix.ENCODERS)
def test_parts_fit_or_are_refused_with_every_llm(tmp_path, encoder, connector):
    for names in mix.mixes(encoder, connector):
        found = [one.code for one in lmmdsl.check(mix.write(tmp_path, *names))]
        assert found == REFUSED.get((encoder, connector), []), names


@pytest.mark.torch
@pytest.mark.onnx
@pytest.mark.slow
@pytest.mark.parametrize("names", dict.fromkeys(COMPUTED), ids="-".join)
def test_mixes_compute_the_same_on_both_sides(tmp_path, names):
    pytest.importorskip("torch").set_num_threads(1)
    pytest.importorskip("onnxruntime")
    if names[:2] in REFUSED:
        with pytest.raises(lmmdsl.CompileFailed):
            lmmdsl.load(mix.write(tmp_path, *names))
        return
    verdict = lmmdsl.verify(mix.write(tmp_path, *names))
    assert verdict.answers
    assert [answer.question for answer in verdict.answers if not answer.agrees] == []


def test_the_library_is_covered():
    named = {
        part.module for table in (mix.ENCODERS, mix.CONNECTORS, mix.LLMS) for part in table.values()
    }
    parts = {
        f"{kind}.{path.stem}"
        for kind in ("vision", "connector", "llm")
        for path in (specs_folder() / "std" / kind).glob("*.lmm")
    }
    assert parts - named == {
        "connector.sampler"
    }  # it reads regions that are drawn, not whole images


@pytest.mark.parametrize(
    ("names", "old", "new", "code"),
    [
        (("clip", "mlp", "llama"), "out = llm.width", "out = 44", "E0501"),
        (("clip", "mlp", "llama"), "in = vision.width", "in = 35", "E0405"),
        (("clip", "resampler", "qwen"), "|> drop_first ", "", "E0405"),
        (("vit", "resampler", "opt"), "vision.grid", "vision.rows", "E0405"),
        (("patches", "linear", "llama"), '|> rearrange("i r c d -> i (r c) d") ', "", "E0507"),
        (("patches", "perceiver", "mpt"), '|> rearrange("i r c d -> i (r c) d") ', "", "E0405"),
        (("clip", "mlp", "t5"), "<image = visual>", "<image = visual, rows <eos>>", "E0507"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, names, old, new, code):
    text = mix.write(tmp_path, *names).read_text(encoding="utf-8")
    assert old in text
    assert codes(tmp_path, text.replace(old, new)) == [code]
