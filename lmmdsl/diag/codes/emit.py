"""E08: what a backend cannot express."""

from lmmdsl.diag.model import Diagnostic, diagnostic


@diagnostic("E0801", "not-in-backend", "a backend cannot express this")
class NotInBackend(Diagnostic):
    """The model is sound, but the chosen output has no way to express a part of it.

    Choose another profile or target, or write the part with other operations.

    Wrong:
        lmmc compile spec.lmm --to onnx --profile base   # too old for an operation
    Right:
        lmmc compile spec.lmm --to onnx --profile std
    """

    backend: str
    what: str

    def message(self) -> str:
        """Name both; without a backend, none of them can yet."""
        who = f"{self.backend} cannot" if self.backend else "no backend can yet"
        return f"{who} express {self.what}"
