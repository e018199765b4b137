"""The formatter: one canonical layout for every file."""

from lmmdsl.fmt.source import WIDTH, DoesNotParse, format_source

__all__ = ["WIDTH", "DoesNotParse", "format_source"]
