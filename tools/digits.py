"""Train a connector on real images on a CPU: captions for scikit-learn's handwritten digits.

The model is `digits.lmm`, a small LLaVA with a connector that is a block of its own page. Stage `language` teaches the
LLM its captions from words alone, as a published LLM has learned to write before it sees an image. Stage `pretrain`
then trains the connector and nothing else, on images: the encoder keeps its first random weights, and the LLM is
frozen. Captions of images that were held out must be right word for word.

    python tools/digits.py [--seed 0] [--epochs 40]
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import lmmdsl

SPEC = Path(__file__).with_name("digits.lmm")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NEEDED = 0.9  # of captions that are right, word for word


def caption(digit: int) -> str:
    """What is said of a digit."""
    parity = "an odd" if digit % 2 else "an even"
    return f"a handwritten {NAMES[digit]} , {parity} number"


class Words:
    """Ids of words, behind those of the model's own tokens."""

    def __init__(self, net: nn.Module) -> None:
        self.tokens: dict[str, int] = net.TOKENS
        words = sorted({word for digit in range(10) for word in caption(digit).split()})
        self.ids = {word: place for place, word in enumerate(words, len(self.tokens))}

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [self.ids[word] for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        """The text of ids, up to the end token."""
        names = {place: word for word, place in self.ids.items()}
        end = ids.index(self.tokens["eos"]) if self.tokens["eos"] in ids else len(ids)
        return " ".join(names.get(place, "?") for place in ids[:end])


class Captions:
    """Prompts and captions of all digits as rows of ids."""

    def __init__(self, net: nn.Module) -> None:
        self.net, self.words = net, Words(net)
        end = [net.TOKENS["eos"]]
        rows = [self.words.encode(caption(digit)) + end for digit in range(10)]
        self.answers = torch.tensor(rows)  # [10, A]
        self.named = torch.tensor([[row[2]] * net.IMAGE_TOKENS for row in rows])  # [10, N]

    def rows(self, digits: Tensor, *, named: bool) -> Tensor:
        """Start token, N placeholders or N times the digit's name, and the caption: `[B, 1 + N + A]`."""
        start = torch.full((len(digits), 1), self.net.TOKENS["bos"])
        blank = torch.full((len(digits), self.net.IMAGE_TOKENS), self.net.IMAGE_ID)
        shown = self.named[digits] if named else blank
        return torch.cat([start, shown, self.answers[digits]], dim=1)

    def loss(self, ids: Tensor, images: Tensor | None) -> Tensor:
        """Cross entropy of the caption alone."""
        count = self.answers.shape[1]
        scores = self.net(ids, images, logits_to_keep=count + 1)[:, :-1]  # [B, A, V]
        return F.cross_entropy(scores.flatten(0, 1), ids[:, -count:].flatten())


def train(
    captions: Captions,
    stage: str,
    images: Tensor | None,
    digits: Tensor,
    *,
    epochs: int,
    rate: float,
) -> float:
    """Run one stage of the spec; gives the last epoch's mean loss."""
    net = captions.net
    frozen = {path: p.detach().clone() for path, p in net.named_parameters()}
    learning = net.set_stage(stage)
    groups = net.parameter_groups(stage, weight_decay=0.01)
    optimizer = torch.optim.AdamW(groups, lr=rate)
    batches = -(-len(digits) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=epochs * batches
    )
    losses: list[float] = []
    for _ in range(epochs):
        losses.clear()
        for rows in torch.randperm(len(digits)).chunk(batches):
            shown = None if images is None else images[rows]
            ids = captions.rows(digits[rows], named=images is None)
            loss = captions.loss(ids, shown)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
    check_frozen(net, stage, frozen)
    print(f"stage {stage}: {learning:,} values learned, loss {np.mean(losses):.4f}")
    return float(np.mean(losses))


def check_frozen(net: nn.Module, stage: str, before: dict[str, Tensor]) -> None:
    """What the stage does not name must not have moved by a bit, and all that it names must have."""
    learned = net.stage_parameters(stage)
    for path, parameter in net.named_parameters():
        moved = not torch.equal(parameter, before[path])
        if moved != (path in learned):
            raise SystemExit(f"{path} {'moved' if moved else 'did not move'} in stage {stage}")


def describe(captions: Captions, images: Tensor) -> list[str]:
    """Generate captions."""
    net = captions.net.eval()
    prompt = captions.rows(torch.zeros(len(images), dtype=torch.long), named=False)
    prompt = prompt[:, : -captions.answers.shape[1]]
    made = net.generate(prompt, images, max_new_tokens=captions.answers.shape[1])
    return [captions.words.decode(row[prompt.shape[1] :].tolist()) for row in made]


def run(seed: int, epochs: int) -> float:
    """Train both stages; gives the share of held-out images with the right caption."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    data = load_digits()
    pixels = torch.tensor(data.images / 8 - 1, dtype=torch.float32)[:, None]  # [I, 1, 8, 8]
    digits = torch.tensor(data.target)
    seen, held = train_test_split(
        np.arange(len(digits)), test_size=0.2, random_state=seed, stratify=data.target
    )
    net = lmmdsl.load(SPEC).to_torch()
    captions = Captions(net)
    train(captions, "language", None, torch.arange(10).repeat(64), epochs=20, rate=3e-3)
    train(captions, "pretrain", pixels[seen], digits[seen], epochs=epochs, rate=3e-3)
    made = describe(captions, pixels[held])
    right = [
        text == caption(digit) for text, digit in zip(made, digits[held].tolist(), strict=True)
    ]
    for text, digit in list(zip(made, digits[held].tolist(), strict=True))[:3]:
        print(f"  {digit}: {text}")
    return sum(right) / len(right)


def main() -> None:
    """Train, and fail where too few captions are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=40, help="of the stage `pretrain`")
    args = parser.parse_args()
    begun = time.perf_counter()
    share = run(args.seed, args.epochs)
    print(f"{share:.2%} of held-out captions are right ({time.perf_counter() - begun:.0f} s)")
    sys.exit(share < NEEDED)


if __name__ == "__main__":
    main()
