"""Colours and type of the pictures.

Tones are tints of the Okabe-Ito palette, which people with any colour vision tell apart; state is also written out in
words and line styles, so that a picture survives a black-and-white printer. Fonts are families with a fallback on
every system; those that end a list have the letters of East Asia. SVG takes them where it is looked at, PNG and PDF
where they are made: without one of them on that machine (`fc-list :lang=zh` names them), such letters are boxes there.
"""

from dataclasses import dataclass

EAST_ASIA = "Noto Sans CJK SC,PingFang SC,Microsoft YaHei"
FONT = f"Helvetica,Arial,sans-serif,{EAST_ASIA}"
MONO = f"Menlo,Consolas,monospace,{EAST_ASIA}"

INK = "#1d2733"
MUTED = "#5c6873"
LINE = "#5c6873"
PAPER = "#ffffff"
VISUAL_EDGE = "#0072b2"
RULE = "#c9ced3"
SEES, SEES_IMAGE = "#93a4b1", "#0072b2"


@dataclass(frozen=True, slots=True)
class Tone:
    """Fill and outline of one kind of thing."""

    fill: str
    line: str
    width: float = 1.4
    dashed: bool = False


TONES = {
    "encoder": Tone("#e1eff8", "#0072b2"),
    "connector": Tone("#fcefd6", "#9a6500"),
    "llm": Tone("#dcf2ea", "#00805d"),
    "part": Tone("#f1e9f3", "#8b5a96"),
    "data": Tone("#f5f5f2", "#8b8f94", 1.0),
    "op": Tone("#ffffff", "#8b8f94", 1.0),
    "parameter": Tone("#fbf7e9", "#a89a5c", 1.0),
    "trained": Tone("#fbdcc7", "#b84f00", 2.6),
    "partly": Tone("#fdeee3", "#b84f00", 2.0, dashed=True),
    "adapters": Tone("#f6e1ec", "#b5517f", 2.0),
    "frozen": Tone("#e8eef3", "#51697c", 1.2),
    "text": Tone("#ffffff", "#8b8f94", 1.0),
    "token": Tone("#ececea", "#8b8f94", 1.0),
    "image": Tone("#c9e3f4", "#0072b2", 1.4),
    "slot": Tone("#fffdf4", "#8b8f94", 1.0),
}

STATE_WORDS = {
    "trained": "trained",
    "partly": "partly trained",
    "adapters": "frozen, with LoRA",
    "frozen": "frozen",
}


def tone(name: str) -> Tone:
    """The tone of a role, a state or a kind of node."""
    return TONES[name] if name in TONES else TONES["part"]
