"""PyTorch: readable source, the module it makes when imported, and its weights."""
