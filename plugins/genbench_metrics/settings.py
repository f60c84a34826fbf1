"""The settings of the built-in metrics (no torch here)."""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class FrechetSettings(Settings):
    """Settings of all Fréchet distances."""

    n: int | None = Field(
        default=None, ge=2, description="number of samples to use, the first ones (default: all)"
    )


class FdClfSettings(FrechetSettings):
    """Settings of fd_clf."""


class FdPixelSettings(FrechetSettings):
    """Settings of fd_pixel."""


class FidSettings(FrechetSettings):
    """Settings of fid."""

    weights: str | None = Field(
        default=None,
        description="path of torch-fidelity's Inception weights (.pth); default: the cache of "
        "torch hub, or else a download",
    )


class ReconstructionSettings(Settings):
    """Settings of reconstruction."""

    n: int = Field(default=10_000, ge=1, description="number of test images to use, the first ones")
