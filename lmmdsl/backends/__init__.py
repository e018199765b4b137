"""Backends: a checked program to code, graphs, pictures and tables. None imports another."""
