"""Meaning: names, compile-time values, types, layouts, stages; a file becomes a checked `Program`."""
