"""The four files of an MNIST-like data set in torchvision's layout, and which of them exist."""

from __future__ import annotations

from pathlib import Path

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def absent_files(folder: Path) -> list[str]:
    """The files that exist neither unpacked nor gzipped."""
    return [name for name in FILES if present_file(folder, name) is None]


def present_file(folder: Path, name: str) -> str | None:
    """The name of the unpacked file if it exists, else of the gzipped one; None without both."""
    for candidate in (name, f"{name}.gz"):
        if (folder / candidate).is_file():
            return candidate
    return None
