"""lmmdsl: large multimodal models as readable, checked text."""
