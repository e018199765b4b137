"""lmmdsl: large multimodal models as readable, checked text."""

from lmmdsl.version import VERSION as __version__

__all__ = ["__version__"]
