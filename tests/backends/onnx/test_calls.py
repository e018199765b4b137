"""Wrong and right calls of a package: it refuses what the PyTorch module refuses, in the same words."""

import numpy as np
import pytest
import torch

import lmmdsl
from lmmdsl.backends.onnx.run import Package
from tests.guards.modules import ROOT

pytestmark = pytest.mark.onnx

# Of each system: the ids of one image, the shape of an image, the context.
SYSTEMS = {
    "cogvlm": ([-1] * 11, (3, 12, 12), 256),  # a placeholder outside the vocabulary
    "blip2_t5": ([96] * 5, (3, 28, 28), 64),  # one inside; an encoder reads the prompt
    "flamingo": ([126], (3, 45, 45), 96),  # layers read images
    "fuyu_8b": ([10, 10, 18] * 2, (3, 8, 8), 256),  # images of any size
}
# Images in the prompt, images given (None: no argument), and what is done to them.
CALLS = {
    "no image, none given": (0, None),
    "one image": (1, 1),
    "two images": (2, 2),
    "image missing": (1, None),
    "one of two missing": (2, 1),
    "one too many": (1, 2),
    "no place": (0, 1),
}


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request, tmp_path_factory):
    """The module and the package of a system with the same weights, and its facts."""
    spec = lmmdsl.load(ROOT / "specs" / f"{request.param}.lmm", variant="tiny")
    home = tmp_path_factory.mktemp("package")
    file = spec.random_weights(home / "random.safetensors")
    spec.to_onnx(home, weights=file)
    net = lmmdsl.load_weights(spec.to_torch().eval(), file)
    return net, Package(home), *SYSTEMS[request.param]


def outcome(call):
    """What a call gives, or what it says."""
    try:
        return np.asarray(call()).tolist()
    except (ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def both(system, ids, pixels, limit=3):
    """Outcomes on both sides: new ids."""
    net, package = system[:2]
    ids = np.array(ids, np.int64)
    given = [torch.from_numpy(image) for image in pixels] if isinstance(pixels, list) else pixels
    given = torch.from_numpy(given) if isinstance(given, np.ndarray) else given
    behind = 1 if "encoder_model" in package.facts["components"] else ids.shape[1]
    made = outcome(
        lambda: net.generate(torch.from_numpy(ids), given, max_new_tokens=limit)[:, behind:]
    )
    return made, outcome(lambda: package.generate(ids, pixels, limit=limit))


def images(system, count):
    size = system[3]
    return np.random.default_rng(0).standard_normal((count, *size)).astype(np.float32)


def same(made, found):
    """Whether outcomes agree; where sizes are open, a package does not know the axes of rows."""
    if isinstance(made, str) and "visual rows" in made and " = " not in str(found):
        return found == f"ValueError: {made.split(' = ')[1]}"
    return found == made


@pytest.mark.parametrize("call", CALLS)
def test_images_and_placeholders_are_matched_on_both_sides(system, call):
    placed, given = CALLS[call]
    ids = [[1, *system[2] * placed, 5, 7]]

    made, found = both(system, ids, None if given is None else images(system, given))

    assert same(made, found), (made, found)
    assert isinstance(made, str) == (placed != (given or 0))


def test_a_wrong_number_of_placeholders_is_refused_on_both_sides(system):
    mark = system[2][0]

    made, found = both(system, [[1, *system[2], mark, 5]], images(system, 1))

    assert isinstance(made, str)
    assert same(made, found), (made, found)


def test_a_lone_placeholder_is_treated_alike(system):
    made, found = both(system, [system[2][:1]], None)

    assert same(made, found), (made, found)


@pytest.mark.parametrize("size", [(3, 13, 8), (1, 8, 8), (8, 8)], ids=str)
def test_images_of_another_size_are_refused_on_both_sides(system, size):
    made, found = both(system, [[1, *system[2], 5]], np.zeros((1, *size), np.float32))

    assert "but the encoder takes [I, 3, " in made
    assert found == made


@pytest.mark.parametrize("count", [0, 1])
def test_lists_of_images_are_treated_alike(system, count):
    made, found = both(system, [[1, *system[2], 5]], [*images(system, 1)][:count])

    assert same(made, found), (made, found)


@pytest.mark.parametrize("over", [0, 1])
def test_the_context_bounds_prompt_and_answer_on_both_sides(system, over):
    context = system[4]
    answers = "encoder_model" in system[1].facts["components"]
    room = context - 1 if answers else 2  # an answer has a context of its own
    ids = [[5] * (context - room)]

    made, found = both(system, ids, None, limit=room + over)

    assert isinstance(made, str) == bool(over)
    assert found == made


@pytest.mark.parametrize("number", [-5, 100_000])
def test_ids_outside_the_vocabulary_are_refused_on_both_sides(system, number):
    ids = np.array([[1, 5, number]])
    with pytest.raises(IndexError):
        system[0].generate(torch.from_numpy(ids), max_new_tokens=1)

    with pytest.raises(IndexError, match=f"id {number} is outside the vocabulary of"):
        system[1].generate(ids, limit=1)


def test_the_manifest_says_which_id_marks_an_image(system):
    (image,) = system[1].facts["images"]

    assert image["id"] == system[2][0]
    assert image["enters"] == ("layers" if system[1].facts["blank_image"] else "text")
