"""lmmdsl: large multimodal models as readable, checked text.

    import lmmdsl
    spec = lmmdsl.load("specs/mine.lmm", variant="tiny", set={"llm.depth": 3})
    net = spec.to_torch()

Names are imported when they are first used, so that `import lmmdsl` (and with it `lmmc --help`) costs nothing;
`__init__.pyi` gives their types.
"""

from importlib import import_module

from lmmdsl.version import __version__

__all__ = [
    "CompileFailed",
    "Diagnostic",
    "Program",
    "Spec",
    "__version__",
    "check",
    "load",
    "load_weights",
    "save_weights",
    "verify",
]

_HOMES = {
    "CompileFailed": "lmmdsl.driver.failure",
    "Diagnostic": "lmmdsl.diag.model",
    "Program": "lmmdsl.graph.program",
    "Spec": "lmmdsl.driver.api",
    "check": "lmmdsl.driver.api",
    "load": "lmmdsl.driver.api",
    "load_weights": "lmmdsl.driver.products",
    "save_weights": "lmmdsl.driver.products",
    "verify": "lmmdsl.driver.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `lmmdsl` has no attribute `{name}`")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
