"""ALBEF's parts against transformers' BERT and ViT, with random weights and padding; what padding must not change."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from safetensors.torch import save_file  # noqa: E402

import lmmdsl  # noqa: E402
from lmmdsl.backends.onnx.run import Package  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.onnx]

SPECS = Path(__file__).resolve().parents[2] / "specs"
DECODER = """
from std.text.bert import BertDecoder

model Answer {
  decoder: BertDecoder(
    width = 24, depth = 3, heads = 4, mlp_width = 50, vocab = 61, context = 12, source = 24, norm_eps = 1e-6
  )

  flow answer(
    states: [B, Q, 24], question: bool[B, Q], ids: int[B, T], keys: bool[B, T]
  ) -> [B, T, 61] {
    return decoder(ids, keys, states, question)
  }

  weights hf "google-bert/bert-base-uncased" { decoder = "" }
}
"""
READER = """
from std.text.bert import Bert

model Reader {
  text: Bert(width = 24, depth = 3, heads = 4, mlp_width = 50, vocab = 61, context = 12)

  flow read(ids: int[B, T], keys: bool[B, T]) -> [B, T, 24] {
    return text(ids, keys)
  }

  weights hf "google-bert/bert-base-uncased" { text = "" }
}
"""


def config(**more):
    """A small BERT with every dropout off."""
    return transformers.BertConfig(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=50,
        vocab_size=61, max_position_embeddings=12, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, **more,
    )  # fmt: skip


def loaded(text, reference, folder):
    """The spec as a module and as a package, both with the weights of a reference module."""
    (folder / "model.lmm").write_text(text, encoding="utf-8")
    for param in reference.parameters():
        torch.nn.init.normal_(param, std=0.3)
    kept = {name: value.clone() for name, value in reference.state_dict().items()}
    kept = {name: value for name, value in kept.items() if not name.startswith("pooler")}
    save_file(kept, folder / "weights.safetensors")
    spec = lmmdsl.load(folder / "model.lmm")
    net = lmmdsl.load_weights(spec.to_torch(), folder / "weights.safetensors", naming="hf").eval()
    spec.to_onnx(folder / "onnx", weights=folder / "weights.safetensors", naming="hf")
    return net, Package(folder / "onnx")


def lengths(*counts):
    """Which tokens are real: rows of `counts` tokens, padded behind."""
    return torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]


def test_text_half_equals_bert(tmp_path):
    torch.manual_seed(1)
    reference = transformers.BertModel(config(), add_pooling_layer=False).eval()
    net, package = loaded(READER, reference, tmp_path)
    keys = lengths(7, 4, 1)
    ids = torch.randint(0, 61, keys.shape)

    with torch.inference_mode():
        wanted = reference(ids, attention_mask=keys.long()).last_hidden_state[keys]
        found = net.read(ids, keys)[keys]
    ran = package.run("read", {"ids": ids.numpy(), "keys": keys.numpy()})["result"]

    assert torch.allclose(found, wanted, atol=2e-5)
    assert torch.allclose(torch.from_numpy(ran)[keys], wanted, atol=2e-5)


def test_answer_decoder_equals_causal_bert_with_cross_attention(tmp_path):
    torch.manual_seed(2)
    settings = config(is_decoder=True, add_cross_attention=True, layer_norm_eps=1e-6)
    reference = transformers.BertLMHeadModel(settings).eval()
    net, package = loaded(DECODER, reference, tmp_path)
    question, keys = lengths(5, 8, 2), lengths(4, 1, 6)
    ids, states = torch.randint(0, 61, keys.shape), torch.randn(3, 8, 24)

    with torch.inference_mode():
        wanted = reference(
            ids, attention_mask=keys.long(), encoder_hidden_states=states,
            encoder_attention_mask=question.long(),
        ).logits[keys]  # fmt: skip
        found = net.answer(states, question, ids, keys)[keys]
    inputs = {"states": states, "question": question, "ids": ids, "keys": keys}
    ran = package.run("answer", {name: value.numpy() for name, value in inputs.items()})["result"]

    assert torch.allclose(found, wanted, atol=5e-5)
    assert torch.allclose(torch.from_numpy(ran)[keys], wanted, atol=5e-5)


def test_pairs_do_not_see_each_other_or_padding():
    torch.manual_seed(3)
    net = lmmdsl.load(SPECS / "albef.lmm", variant="tiny").to_torch().eval()
    image, keys = torch.randn(3, 3, 40, 24), lengths(7, 4, 2)
    ids = torch.randint(0, 67, keys.shape)

    with torch.inference_mode():
        together = [f(image, ids, keys) for f in (net.itm, net.mlm, net.itc)]
        alone = [
            [
                f(image[k : k + 1], ids[k : k + 1, :n], keys[k : k + 1, :n])
                for f in (net.itm, net.mlm, net.itc)
            ]
            for k, n in enumerate((7, 4, 2))
        ]

    for k, n in enumerate((7, 4, 2)):
        assert torch.allclose(together[0][k], alone[k][0][0], atol=1e-5)
        assert torch.allclose(together[1][k, :n], alone[k][1][0], atol=1e-5)
        assert torch.allclose(together[2][k, k], alone[k][2][0, 0], atol=1e-5)


def test_a_text_without_its_image_scores_otherwise():
    torch.manual_seed(4)
    net = lmmdsl.load(SPECS / "albef.lmm", variant="tiny").to_torch().eval()
    for param in net.parameters():
        torch.nn.init.normal_(param, std=0.3)
    ids, keys = torch.randint(0, 67, (2, 5)), lengths(5, 5)

    with torch.inference_mode():
        first, second = (net.mlm(torch.randn(2, 3, 40, 24), ids, keys) for _ in range(2))

    assert (first - second).abs().max() > 0.01


def start(net, questions):
    """States of questions of several lengths, and which of their tokens are real."""
    keys = lengths(*questions)
    image, ids = torch.randn(len(questions), 3, 24, 32), torch.randint(0, 59, keys.shape)
    return net.ask(image, ids, keys), keys


def greedy(step, states, question, *, cached):
    """Six most likely words after [CLS], given all words so far or only the last one at each step."""
    ids = torch.full((len(states), 1), 2)
    for _ in range(6):
        new = ids[:, -1:] if cached else ids
        keys = torch.ones(ids.shape, dtype=torch.bool)
        logits = step(new, keys, states, question)
        ids = torch.cat((ids, logits[:, -1:].argmax(-1)), dim=1)
    return ids


class OnnxSteps:
    """The answer graph of a package, called step by step."""

    def __init__(self, package, *, cached):
        self.package, self.cached, self.past = package, cached, {}

    def __call__(self, ids, keys, states, question):
        """Logits of the ids of a step; they go on where the last ones ended if a cache is kept."""
        inputs = {"ids": ids, "keys": keys, "states": states, "question": question}
        feeds = {name: value.numpy() for name, value in inputs.items()}
        results = self.package.run("answer", {**feeds, **self.past})
        if self.cached:
            kept = {name: value for name, value in results.items() if name.startswith("present.")}
            self.past = {n.replace("present", "past_key_values"): v for n, v in kept.items()}
        return torch.from_numpy(results["logits"])


def make_lively(net):
    """Random matrices, small but for words and places: else each word of an answer is the same."""
    for path, param in net.named_parameters():
        if param.dim() > 1:
            torch.nn.init.normal_(param, std=1.0 if "embeddings" in path else 0.2)


def test_answers_with_cache_equal_those_without_on_both_backends(tmp_path):
    torch.manual_seed(5)
    spec = lmmdsl.load(SPECS / "albef_vqa.lmm", variant="tiny")
    net = spec.to_torch().eval()
    make_lively(net)
    lmmdsl.save_weights(net, tmp_path / "weights.safetensors", naming="albef")
    spec.to_onnx(tmp_path / "onnx", weights=tmp_path / "weights.safetensors", naming="albef")
    package = Package(tmp_path / "onnx")

    with torch.inference_mode():
        states, question = start(net, (7, 3, 5))
        cache = net.make_cache(8)
        wanted = greedy(net.answer, states, question, cached=False)
        found = [
            greedy(lambda *given: net.answer(*given, cache), states, question, cached=True),
            greedy(OnnxSteps(package, cached=True), states, question, cached=True),
            greedy(OnnxSteps(package, cached=False), states, question, cached=False),
        ]

    assert cache.length == 6
    assert len(wanted.unique()) > 3  # it says something
    assert all(torch.equal(ids, wanted) for ids in found)


def test_an_answer_sees_neither_padding_of_the_question_nor_later_words():
    torch.manual_seed(6)
    net = lmmdsl.load(SPECS / "albef_vqa.lmm", variant="tiny").to_torch().eval()
    make_lively(net)
    ids = torch.randint(0, 59, (2, 4))
    keys = torch.ones(2, 4, dtype=torch.bool)

    with torch.inference_mode():
        states, question = start(net, (6, 3))
        whole = net.answer(ids, keys, states, question)
        garbled = torch.where(question[..., None], states, torch.randn_like(states))
        changed = ids.clone()
        changed[:, 2:] = (changed[:, 2:] + 1) % 59
        same = net.answer(changed, keys, garbled, question)

    assert torch.allclose(whole[:, :2], same[:, :2], atol=1e-5)
    assert not torch.allclose(whole[:, 2:], same[:, 2:], atol=1e-2)


def test_rank_of_an_answer_is_its_likelihood_with_the_first_word_twice():
    torch.manual_seed(7)
    net = lmmdsl.load(SPECS / "albef_vqa.lmm", variant="tiny").to_torch().eval()
    make_lively(net)
    keys = lengths(5, 2, 4)
    ids = torch.randint(4, 59, keys.shape)

    with torch.inference_mode():
        states, question = start(net, (6, 3, 4))
        logits = net.answer(ids, keys, states, question)[:, :-1]
        found = net.rank(ids, keys, states, question)

    wanted = ids[:, 1:].masked_fill(~keys[:, 1:], -100)
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), reduction="none", ignore_index=-100
    ).view(3, -1)
    first = logits[:, 0].softmax(-1).gather(1, ids[:, 1:2])[:, 0].log()
    assert torch.allclose(found, first - losses.sum(1), atol=1e-4)


def test_the_chosen_answers_begin_best_and_stand_in_the_order_of_their_ranks(tmp_path):
    torch.manual_seed(8)
    spec = lmmdsl.load(SPECS / "albef_vqa.lmm", variant="tiny")
    net = spec.to_torch().eval()
    make_lively(net)
    lmmdsl.save_weights(net, tmp_path / "weights.safetensors", naming="albef")
    spec.to_onnx(tmp_path / "onnx", weights=tmp_path / "weights.safetensors", naming="albef")
    keys = lengths(3, 5, 2, 4, 3)
    ids = torch.cat((torch.full((5, 1), 2), torch.randint(4, 59, (5, 4))), dim=1)

    with torch.inference_mode():
        states, question = start(net, (6, 3))
        answers, chances = net.choose(ids, keys, states, question)
        for b in range(2):
            row = states[b : b + 1].expand(5, -1, -1), question[b : b + 1].expand(5, -1)
            begins = net.answer(ids[:, :1], keys[:, :1], *row)[0, 0, ids[:, 1]]
            ranks = net.rank(ids, keys, *row)
            best = sorted(begins.topk(3).indices.tolist(), key=lambda k: -ranks[k])
            assert answers[b].tolist() == best
            assert torch.allclose(chances[b], ranks[best].softmax(0), atol=1e-5)

    inputs = {"ids": ids, "keys": keys, "states": states, "question": question}
    feeds = {name: value.numpy() for name, value in inputs.items()}
    ran = Package(tmp_path / "onnx").run("choose", feeds)
    assert ran["answers"].tolist() == answers.tolist()
    assert torch.allclose(torch.from_numpy(ran["chances"]), chances, atol=1e-5)
