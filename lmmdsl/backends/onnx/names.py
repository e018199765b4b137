"""Names in ONNX files: axes, and paths in the form that viewers fold."""

# What other tools call the run-time sizes of a decoder; a symbol not listed keeps its own name.
AXES = {
    "B": "batch_size",
    "T": "sequence_length",
    "S": "total_sequence_length",
    "P": "past_sequence_length",
    "I": "num_images",
}


def slashed(path: str) -> str:
    """`llm.layers.3.attn` as `llm/layers.3/attn`, the form that graph viewers fold."""
    words: list[str] = []
    for word in path.split(".") if path else ():
        if word.isdigit() and words:
            words[-1] += "." + word
        else:
            words.append(word)
    return "/".join(words)
