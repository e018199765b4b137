"""The class of an encoder-decoder: `remember` reads a prompt, `forward` scores an answer to it."""

from dataclasses import dataclass

from lmmdsl.backends.torch.classes import def_lines
from lmmdsl.backends.torch.layout import docstring, statement
from lmmdsl.backends.torch.root import RootWriter

_REMEMBER_DOC = """
What the decoder knows of prompts.

Args:
    input_ids: `[B, N]`{note}.{images}
    attention_mask: `[B, N]`, 0 at padding, which may be on either side.

Returns:
    `{memory}`.
"""

_FORWARD_DOC = """
Score the next token of an answer at every position.

Args:
    input_ids: prompts `[B, N]`{note}.{images}
    attention_mask: `[B, N]`, 0 at padding of prompts.
    decoder_input_ids: answers `[B, T]` behind the start token; it alone if not given.
    decoder_attention_mask: `[B, T]`, 0 at padding of answers.
    logits_to_keep: score only so many last positions; 0 scores all.

Returns:
    `{scores}`.
"""


@dataclass
class ReaderWriter(RootWriter):
    """Writes the class of a model whose LLM reads the prompt before it answers."""

    @property
    def generation(self) -> str:
        """The class of the runtime that generates."""
        return "Answering"

    @property
    def _read(self) -> str:
        return ""  # what the decoder reads is not the images'

    def _forward(self) -> list[str]:
        encode = self.definition.methods.get("encode")
        images = [encode.name_of(value) for value in encode.inputs] if encode else []
        return [*self._forward_lines(images), "", *self._remember_lines(images)]

    def _forward_lines(self, images: list[str]) -> list[str]:
        optional = [*images, "attention_mask", "decoder_input_ids", "decoder_attention_mask"]
        arguments = [
            "input_ids: Tensor",
            *(f"{name}: Tensor | None = None" for name in optional),
            "logits_to_keep: int = 0",
        ]
        doc = _FORWARD_DOC.format(scores=self._result("logits"), **self._told(images))
        head = def_lines("forward", arguments, "Tensor")
        lines = [*head, *docstring(doc, indent=8)]
        given = ", ".join(["input_ids", *(images or ["None"]), "attention_mask"])
        lines += statement("memory = ", f"self.remember({given})", self._result("read"), indent=8)
        lines += [
            "        if decoder_input_ids is None:",
            "            decoder_input_ids = self.first_ids(input_ids, attention_mask)  # int [B, 1]",
        ]
        for name, mask in (("seen", "attention_mask"), ("mask", "decoder_attention_mask")):
            lines += statement(f"{name} = ", f"None if {mask} is None else {mask}.bool()", indent=8)
        lines += statement(
            "embeds = ", "self.embed(decoder_input_ids)", self._result("embed"), indent=8
        )
        decode = "self.decode(embeds, mask, memory, seen)"
        lines += statement("hidden = ", decode, self._result("decode"), indent=8)
        logits = "self.logits(hidden[:, -logits_to_keep:])"
        return lines + statement("return ", logits, self._result("logits"), indent=8)

    def _remember_lines(self, images: list[str]) -> list[str]:
        optional = [*(images or ["pixel_values"]), "attention_mask"]
        arguments = ["input_ids: Tensor", *(f"{name}: Tensor | None = None" for name in optional)]
        doc = _REMEMBER_DOC.format(memory=self._result("read"), **self._told(images))
        head = def_lines("remember", arguments, "Tensor")
        lines = [*head, *docstring(doc, indent=8), *self._embed_lines(images)]
        lines += statement(
            "mask = ", "None if attention_mask is None else attention_mask.bool()", indent=8
        )
        return lines + statement(
            "return ", "self.read(embeds, mask)", self._result("read"), indent=8
        )

    def _told(self, images: list[str]) -> dict[str, str]:
        """What docstrings say of images."""
        shown = "".join(
            f"\n    {name}: `{self._shape('encode', place)}`, in the order of their placeholders."
            for place, name in enumerate(images)
        )
        note = "; `IMAGE_TOKENS` placeholders `IMAGE_ID` per image" if images else ""
        return {"note": note, "images": shown}
