"""The settings of the built-in metrics (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class FrechetSettings(Settings):
    """What every Fréchet distance can be told."""

    n: int | None = Field(
        default=None, ge=2, description="use only the first n samples of the draw (default: all)"
    )


class FdClfSettings(FrechetSettings):
    """Settings of fd_clf."""


class FdPixelSettings(FrechetSettings):
    """Settings of fd_pixel."""


class FidSettings(FrechetSettings):
    """Settings of fid."""

    weights: str | None = Field(
        default=None,
        description="path of torch-fidelity's Inception weights (.pth); default: torch hub's "
        "cache, else a download",
    )


class ReconstructionSettings(Settings):
    """Settings of reconstruction."""

    n: int = Field(default=10_000, ge=1, description="use the first n images of the test split")
