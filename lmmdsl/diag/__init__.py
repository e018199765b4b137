"""Diagnostics: what they are, how they are collected, and how people and machines read them."""
