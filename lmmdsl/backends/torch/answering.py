"""Generating answers with an encoder-decoder: the encoder reads the prompt, the decoder starts from a token of its own.

The emitter copies these classes into its file, as it does those of `generation`. A model that answers has `read` and
`remember` beside what every model that generates has.
Axes: B batch, N tokens of the prompt, T tokens of the answer, I images, D width, V vocabulary.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lmmdsl.backends.torch.generation import Continuation, Generation


class Answering(Generation):
    """Text generation for an encoder-decoder: `generate` gives answers, behind their start token."""

    read: Callable[..., Tensor]
    remember: Callable[..., Tensor]

    def first_ids(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """What stands in front of the new tokens: the token that starts an answer `[B, 1]`."""
        start = self.TOKENS.get("start", self.TOKENS.get("pad", 0))
        return torch.full_like(input_ids[:, :1], start)

    def begin(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None,
        attention_mask: Tensor | None,
        wanted: int | None,
    ) -> tuple[Continuation, int]:
        """The run of generation behind prompts, and how many tokens it makes at most."""
        memory = self.remember(input_ids, pixel_values, attention_mask)  # [B, N, D]
        real = None if attention_mask is None else attention_mask.bool()
        count = self._room(1, wanted)
        starts = self.first_ids(input_ids, attention_mask)
        return Answer(self, starts, memory, real, 1 + count), count


class Answer(Continuation):
    """One run of generation from what the encoder read."""

    def __init__(
        self, net: Generation, starts: Tensor, memory: Tensor, real: Tensor | None, total: int
    ) -> None:
        super().__init__(net, starts, None, total)
        self.memory = {"encoder_hidden_states": memory}
        if real is not None:
            self.memory["encoder_attention_mask"] = real

    def start(self, pixel_values: Tensor | None, inputs: Mapping[str, Tensor]) -> Tensor:
        """Feed the start tokens; gives the scores of the first new token `[B, V]`.

        Raises:
            ValueError: there are inputs, but a model that answers takes prompts and images alone.
        """
        if inputs:
            raise ValueError(f"the model takes no {', '.join(inputs)}")
        scores = self.net.step(self.prompts, None, self.cache, self.memory)
        if self.net._compiled_step is not None:
            self.cache.make_static()
        return scores

    def _facts(self, ids: Tensor) -> dict[str, Tensor]:
        """What decoding must know beside new ids `[B]`: what the encoder read."""
        self.width += 1
        return self.memory
