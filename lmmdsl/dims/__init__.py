"""Sizes of axes: integer polynomials over run-time symbols, each with the derivation of its value."""
