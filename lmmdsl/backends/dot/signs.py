"""Signs that stand for words in pictures."""

TIMES = "\u00d7"
# Operations that every reader knows by their sign.
SIGNS = {"add": "+", "sub": "\u2212", "mul": TIMES, "div": "\u00f7"}
