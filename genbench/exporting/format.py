"""The formats of an exported generator, by name."""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """The formats of an exported generator."""

    TORCH = "torch"
    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"

    @property
    def ending(self) -> str:
        """The ending of a file in this format."""
        return {"torch": ".pt2", "onnx": ".onnx", "torchscript": ".pt"}[self.value]
