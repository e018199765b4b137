"""The version, where every part of the package may read it."""

VERSION = "0.1.0"
