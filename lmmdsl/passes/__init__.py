"""Transformations of a checked program."""
