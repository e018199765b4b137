"""Checkpoints: what their files hold, and how their names map onto parameters; no torch."""
