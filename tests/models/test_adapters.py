"""What adapters of golden cases compute themselves."""

from pathlib import Path
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("onnxruntime")
pytest.importorskip("torch")

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def adapters(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    from goldens_adapters import flamingo, lora, mplug_owl, open_flamingo, qwen_vl, visualglm

    known = (flamingo, lora, mplug_owl, open_flamingo, qwen_vl, visualglm)
    return {adapter.__name__.rpartition(".")[2]: adapter for adapter in known}


def test_ids_between_marks_become_placeholders(adapters):
    ids = np.array([[8, 1, 50, 51, 2, 1, 50, 50, 2], [8, 8, 8, 8, 8, 8, 1, 50, 2]])

    found = adapters["qwen_vl"].marked(ids, {"image_start_id": 1, "image_end_id": 2})

    row = [8, 1, -200, -200, 2, 1, -200, -200, 2]
    assert found.tolist() == [row, [8, 8, 8, 8, 8, 8, 1, -200, 2]]


def test_padding_is_a_leading_run_and_counts_where_the_reference_counts_it(adapters):
    glm = adapters["visualglm"]
    ids = np.array([[3, 3, 7, 3, 104, 3], [7, 8, 9, 101, 104, 5]])
    case = SimpleNamespace(inputs={"input_ids": ids})

    real = glm.real_tokens(case, 3)
    places = np.array(
        [[[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 2]], [[0, 1, 2, 3, 3, 3], [0, 0, 0, 0, 1, 2]]]
    )
    found = glm.with_padding(places, real)

    assert real.tolist() == [[False, False, True, True, True, True], [True] * 6]
    assert found[:, 0].tolist() == [[0, 1, 2, 3, 3, 3], [0, 1, 2, 3, 3, 3]]
    assert found[:, 1].tolist() == places[:, 1].tolist()


def test_prefix_sees_itself_and_padding_nothing(adapters):
    real = np.array([[False, True, True, True, True]])

    found = adapters["visualglm"].allowed(np.array([3]), real)

    assert found[0].astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 1, 1, 1, 1],
    ]


def test_loss_counts_text_alone(adapters):
    ids = np.array([[1, -1, 3, 0]])
    mask = np.array([[True, True, True, False]])
    logits = np.zeros((1, 4, 5), np.float32)
    logits[0, 1, 3] = 2.0  # the only place that foretells text is that of the image

    found = adapters["mplug_owl"].text_loss(logits, ids, mask, {"image_token": -1})

    assert found == pytest.approx([np.log(np.exp(2.0) + 4) - 2.0], rel=1e-6)


SPEC = """model M {
  inject Lora(rank = rank, alpha = alpha) around llm.layers[*].attn.{q, v}

  stage instruct { train llm.layers[*].attn.{q, v}.{down, up} }
}
"""


def test_low_rank_adapters_stand_where_the_case_says(adapters):
    llm = {"lora": {"rank": 4, "alpha": 6, "scale": 1.5, "targets": ["k_proj", "down_proj"]}}

    text, settings = adapters["lora"].with_adapters(SPEC, llm)

    assert "around llm.layers[*].{attn.k, mlp.down}\n" in text
    assert settings == {"rank": 4, "alpha": 6}


@pytest.mark.parametrize("llm", [{}, {"lora": {"rank": 4, "alpha": 6, "merged": True}}])
def test_merged_adapters_leave_the_plain_model(adapters, llm):
    text, settings = adapters["lora"].with_adapters(SPEC, llm)

    assert text.split() == ["model", "M", "{", "}"]
    assert settings == {}


def test_images_without_a_place_in_the_text_are_left_out(adapters):
    marks = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)

    found = adapters["open_flamingo"].of_text(marks, images=2)

    assert found.tolist() == [True, True, False, False, True, False]


@pytest.mark.parametrize(
    ("immediate", "wanted"),
    [
        (True, [["....", "x...", ".x.."], ["..x.", "..x.", "..x."]]),
        (False, [["xx..", "x...", "xx.."], ["..x.", "..x.", "..x."]]),
    ],
)
def test_tokens_see_images_of_their_own_row(adapters, immediate, wanted):
    case = SimpleNamespace(
        inputs={
            "media_locations": np.array([[0, 1, 1], [1, 0, 0]]),
            "media": np.zeros((2, 2, 4, 5)),
        },
        config=lambda _: {"immediate_only": immediate},
    )

    found = adapters["flamingo"].seen_images(case)["sees"]

    drawn = [["".join("x" if sees else "." for sees in token) for token in row] for row in found]
    assert drawn == wanted
