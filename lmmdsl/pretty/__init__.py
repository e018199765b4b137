"""A document algebra: what to print, and where lines may break."""
