"""PyTorch: a program to one standalone source file, and that file imported."""
