"""Source text: files, line indexes and half-open code-point spans."""
