"""Emitted modules learn, and stages freeze what they say: captions of real images, in seconds."""

import torch

from tools import digits


def test_a_connector_of_its_own_learns_to_caption_digits(capsys):
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    try:
        first = digits.run(seed=0, epochs=10)
        said = capsys.readouterr().out
        again = digits.run(seed=0, epochs=10)
        assert capsys.readouterr().out == said
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact)
    assert first == again >= digits.NEEDED
