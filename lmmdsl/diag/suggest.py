"""Did you mean: the known names that a misspelt one may stand for.

Closeness is the edit distance with swapped neighbours (optimal string alignment); where nothing is
close, names made of the same words (`num_heads`, `heads`) and the names that configuration files of
the field use for the same thing (`hidden_size`, `width`) are tried.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from lmmdsl.diag.model import Applicability, Edit, Suggestion
from lmmdsl.text.source import Span

MOST = 3
_STEM = 3
_MOST_KNOWN = 100  # inner names come first; a file of thousands is no one's typing error
_SLIP = 2  # more edits than this are no slip of the fingers

# What other tools call our parameters. Offered only where the parameter exists.
_SYNONYMS = {
    "hidden_size": "width",
    "hidden_dim": "width",
    "embed_dim": "width",
    "d_model": "width",
    "dim": "width axis",
    "num_hidden_layers": "depth",
    "num_layers": "depth",
    "layers": "depth",
    "n_layers": "depth",
    "num_attention_heads": "heads",
    "n_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "intermediate_size": "mlp_width",
    "ffn_dim": "mlp_width",
    "vocab_size": "vocab",
    "max_position_embeddings": "context",
    "resolution": "image_size",
    "img_size": "image_size",
    "num_channels": "channels",
    "num_query_tokens": "queries",
    "layer_norm_eps": "norm_eps",
    "rms_norm_eps": "norm_eps",
    "hidden_act": "act",
    "projector": "connector",
    "adapter": "connector",
    "vision": "encoder",
    "vision_tower": "encoder",
    "language_model": "llm",
    "decoder": "llm",
}


def nearest(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """The candidates closest to `name`, best first, at most three; empty when none is near."""
    return _nearest(name, tuple(dict.fromkeys(c for c in candidates if c != name))[:_MOST_KNOWN])


@lru_cache(maxsize=64)  # a mistake asks for its words, and again for its edit
def _nearest(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return (
        _close(name, known, min(_SLIP, _allowed(name)))
        or tuple(c for c in known if c in _SYNONYMS.get(name, "").split())
        or tuple(c for c in known if _same_words(name, c))[:MOST]
        or _close(name, known, _allowed(name))
    )


def _allowed(name: str) -> int:
    return max(1, len(name) // 3)


def _close(name: str, known: Iterable[str], allowed: int) -> tuple[str, ...]:
    """Names within `allowed` edits, not many more than the best of them."""
    ranked = sorted((distance(name.lower(), c.lower(), allowed), c) for c in known)
    best = ranked[0][0] if ranked else 0
    limit = min(allowed, best if best <= 1 else best + 1)
    return tuple(c for gap, c in ranked if gap <= limit and gap < max(len(name), len(c)))[:MOST]


def _same_words(name: str, candidate: str) -> bool:
    """One holds all words of the other, or begins with it (`projector`, `proj`)."""
    left, right = sorted((name.lower(), candidate.lower()), key=len)
    words = set(left.split("_")) <= set(right.split("_"))
    return words or (len(left) >= _STEM and right.startswith(left))


def distance(left: str, right: str, most: int = 12) -> int:
    """Edits (insert, delete, replace, swap neighbours) that turn one word into the other.

    Where it takes more than `most`, the length of the longer word.
    """
    if abs(len(left) - len(right)) > most or len(left) > 64:
        return max(len(left), len(right))
    older: list[int] = []
    old = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        new = [i]
        for j, b in enumerate(right, 1):
            best = min(old[j] + 1, new[-1] + 1, old[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, older[j - 2] + 1)
            new.append(best)
        if min(new) > most and min(old) > most:  # a swap reaches back two rows
            return max(len(left), len(right))
        older, old = old, new
    return old[-1]


def join(names: Iterable[str], last: str = "or", *, most: int = 8) -> str:
    """Names in backticks as words: "`a`, `b` or `c`"; a long list ends in "and 12 more"."""
    quoted = [f"`{name}`" for name in names]
    if len(quoted) > most:
        return f"{', '.join(quoted[:most])} and {len(quoted) - most} more"
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def respell(at: Span, name: str, candidates: Iterable[str]) -> tuple[Suggestion, ...]:
    """The edit that replaces a misspelt name: one candidate is near, `at` holds the name."""
    near = nearest(name, candidates)
    place = within(at, name)
    if len(near) != 1 or place is None:
        return ()
    edit = Edit(place, near[0])
    return (Suggestion(f"did you mean `{near[0]}`?", (edit,), Applicability.LIKELY),)


def within(at: Span, name: str) -> Span | None:
    """The first place of a name, as a whole word, inside a span."""
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", at.text)
    if not name or found is None:
        return None
    return Span(at.file, at.start + found.start(), at.start + found.end())


def did_you_mean(at: Span, name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """The advice in words, for when `respell` has no edit: near names, else every known one."""
    known = tuple(candidates)
    near = nearest(name, known)
    if len(near) == 1 and within(at, name):
        return ()
    if near:
        return (f"did you mean {join(near)}?",)
    return (f"known here: {join(known, 'and')}",) if known else ()
