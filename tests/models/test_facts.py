"""What decoding is told of tokens: positions and questions about the rows of images, on both backends."""

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.export import build_model  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402
from lmmdsl.backends.torch.module import build_module  # noqa: E402
from lmmdsl.diag.sink import Sink  # noqa: E402
from lmmdsl.dims.expr import Dim  # noqa: E402
from lmmdsl.driver.products import save_weights, write_onnx  # noqa: E402
from lmmdsl.graph.ir import Definition  # noqa: E402
from lmmdsl.graph.program import Image, Layout, Token, Vocab  # noqa: E402
from lmmdsl.sema.arrange import Arrange, TokenFact  # noqa: E402
from lmmdsl.sema.context import Context, State  # noqa: E402
from lmmdsl.sema.values import Scope  # noqa: E402
from lmmdsl.text.source import SourceFile, Span  # noqa: E402
from tests.guards.modules import ROOT  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]
AT = Span(SourceFile("facts.lmm", "model Facts {}\n"), 0, 5)
IMAGE, MARK = -7, 5
# Two images of three rows, one behind the other; one image behind padding and text; no image.
IDS = [
    [1, *[IMAGE] * 6, 2, 3, 2],
    [9, 9, 9, 1, 2, *[IMAGE] * 3, 2, 3],
    [1, 5, 2, 5, 5, 2, 3, 3, 3, 3],
]
REAL = [[True] * 10, [False] * 3 + [True] * 7, [True] * 10]


def answers(*facts):
    """What `arrange` says, by backend: a list of results for each question."""
    layout = Layout("chat", (Image(Token("<image>", IMAGE), Dim.of(3), "visual"),), AT)
    vocab = Vocab(64, {"<image>": IMAGE, "<mark>": MARK})
    sink = Sink()
    arrange = Arrange(vocab, (layout,), AT, Context(State(sink, None), Scope()))
    for fact in facts:
        arrange.hand_down(fact, AT)
    assert not sink.has_errors
    graph = arrange.graph(AT)
    root = Definition("Facts", {}, "", AT, {}, {"arrange": graph})
    ids, real = np.array(IDS), np.array(REAL)

    ours = build_module(root).arrange(torch.from_numpy(ids), torch.from_numpy(real))
    ours = ours if isinstance(ours, tuple) else (ours,)
    model = build_model(root, "arrange").SerializeToString()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": real.astype(np.int64)}
    known = {item.name for item in session.get_inputs()}
    theirs = session.run(
        [name for name, _ in graph.outputs], {n: x for n, x in feeds.items() if n in known}
    )
    return [x.tolist() for x in ours], [x.tolist() for x in theirs]


def test_rows_of_every_image_are_counted_anew():
    one = [[0] * 10] * 3
    every = [[int(i == IMAGE) for i in row] for row in IDS]
    first = [[0, 1, 0, 0, 1, *[0] * 5], [*[0] * 5, 1, *[0] * 4], one[0]]
    inner = [[0, 1, 1, 0, 1, 1, *[0] * 4], [*[0] * 5, 1, 1, 0, 0, 0], one[0]]
    last = [[0, 0, 0, 1, 0, 0, 1, 0, 0, 0], [*[0] * 7, 1, 0, 0], one[0]]
    facts = (
        TokenFact("every", "on", "<image>"),
        TokenFact("first", "on", "<image>", (0, 1)),
        TokenFact("inner", "on", "<image>", (None, -1)),
        TokenFact("last", "on", "<image>", (-1, None)),
    )

    for found in answers(*facts):
        assert found == [every, first, inner, last]


def test_last_image_is_the_one_that_has_begun_most_recently():
    # Images are counted through the batch, as their features stand in one tensor.
    images = [[-1, 0, 0, 0, 1, 1, 1, 1, 1, 1], [*[-1] * 5, *[2] * 5], [-1] * 10]
    marks = [[-1] * 10, [-1] * 10, [-1, 0, 0, 1, 2, 2, 2, 2, 2, 2]]
    facts = (TokenFact("of_image", "last", "<image>"), TokenFact("of_mark", "last", "<mark>"))

    for found in answers(*facts):
        assert found == [images, marks]


@pytest.fixture(scope="module")
def sharing(tmp_path_factory):
    """LLaVA whose images take one position each, but for their last row: the module and the package."""
    text = (ROOT / "specs" / "llava_v1_5.lmm").read_text(encoding="utf-8")
    end = text.rindex("}")
    section = """
  positions {
    repeats = cumsum(<image>[1:-1], axis = 1)
    return maximum(cumsum(real, axis = 1) - 1 - repeats, 0)
  }
"""
    home = tmp_path_factory.mktemp("sharing")
    file = home / "sharing.lmm"
    file.write_text(text[:end] + section + text[end:], encoding="utf-8")
    program = lmmdsl.load(file, variant="tiny", set={"vocab.image": IMAGE}).program
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = build_module(program).eval()
    save_weights(net, home / "model.safetensors")
    write_onnx(program, home, weights=home / "model.safetensors")
    return net, Package(home)


PROMPT = np.array([[9, 9, 9, 1, 5, *[IMAGE] * 16, *[IMAGE] * 16, 6, 8]])
PADDED = (PROMPT != 9).astype(np.int64)


def test_rows_of_an_image_share_a_position(sharing):
    net, package = sharing
    wanted = [0, 0, 0, 0, 1, *[2] * 15, 3, *[4] * 15, 5, 6, 7]

    ours = net.facts(torch.from_numpy(PROMPT), torch.from_numpy(PADDED), PROMPT.shape[1])
    theirs = package.arrange(PROMPT, PADDED)

    assert ours["position_ids"].tolist() == theirs["position_ids"].tolist() == [wanted]


def test_shared_positions_go_on_while_text_is_generated(sharing):
    net, package = sharing
    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(2))
    whole, real = torch.from_numpy(PROMPT), torch.from_numpy(PADDED)
    with torch.inference_mode():
        for _ in range(5):
            following = net(whole, images, real)[:, -1].argmax(-1, keepdim=True)
            whole = torch.cat((whole, following), dim=1)
            real = torch.cat((real, torch.ones_like(following)), dim=1)

    ours = net.generate(
        torch.from_numpy(PROMPT), images, torch.from_numpy(PADDED), max_new_tokens=5, stop_ids=()
    )
    package.facts["eos_id"] = None
    theirs = package.generate(PROMPT, images.numpy(), limit=5, mask=PADDED)

    assert torch.equal(ours, whole)
    assert theirs.tolist() == whole[:, -5:].tolist()


def test_positions_may_be_given(sharing):
    net, _ = sharing
    ids = torch.tensor([[1, 5, 6, 8]])
    with torch.inference_mode():
        usual = net(ids)
        same = net(ids, position_ids=torch.tensor([[0, 1, 2, 3]]))
        other = net(ids, position_ids=torch.tensor([[0, 1, 2, 9]]))

    assert torch.equal(usual, same)
    assert not torch.allclose(usual, other)


@pytest.mark.parametrize(("side", "patches"), [(4, 1), (8, 4)], ids=["one patch", "four patches"])
@pytest.mark.parametrize("spec", ["cogvlm", "cogvlm2"])
def test_patches_of_an_image_share_a_position(spec, side, patches):
    sizes = {"vision.image_size": side * 2 if spec == "cogvlm2" else side, "vision.patch_size": 4}
    net = lmmdsl.load(ROOT / "specs" / f"{spec}.lmm", variant="tiny", set=sizes).to_torch()
    image = [net.IMAGE_ID] * (patches + 2)
    rows = [[5, 5, *image, *image, 6], [7, 7, 5, *image, *[6] * (patches + 2)]]

    facts = net.facts(torch.tensor(rows), torch.tensor(rows) != 7, len(rows[0]))

    shared = [3] * patches, [6] * patches
    assert facts["position_ids"].tolist() == [
        [0, 1, 2, *shared[0], 4, 5, *shared[1], 7, 8],
        [0, 0, 1, 2, *shared[0], 4, *range(5, 7 + patches)],  # from 1 behind padding
    ]
