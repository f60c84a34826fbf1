"""The settings of Fréchet distances, of signs of collapse, of labels and of reconstructions.

Nothing here imports torch.
"""

from __future__ import annotations

from pydantic import Field

from genbench import Settings


class SampleCountSettings(Settings):
    """Settings of metrics that use the first samples."""

    n: int | None = Field(
        default=None, ge=2, description="number of samples to use, the first ones (default: all)"
    )


class FdClfSettings(SampleCountSettings):
    """Settings of fd_clf."""


class FdPixelSettings(SampleCountSettings):
    """Settings of fd_pixel."""


class FidSettings(SampleCountSettings):
    """Settings of fid."""

    weights: str | None = Field(
        default=None,
        description="path of torch-fidelity's Inception weights (.pth); default: the cache of "
        "torch hub, or else a download",
    )


class ClassesSettings(SampleCountSettings):
    """Settings of classes."""


class SpreadSettings(SampleCountSettings):
    """Settings of spread."""


class LabelAccuracySettings(Settings):
    """Settings of label_accuracy."""

    n: int | None = Field(
        default=None,
        ge=2,
        description="total number of samples, equally many per class (default: the number of "
        "scored samples)",
    )


class ReconstructionSettings(Settings):
    """Settings of reconstruction."""

    n: int = Field(default=10_000, ge=1, description="number of test images to use, the first ones")


class TranslationSettings(Settings):
    """Settings of translation."""

    n: int | None = Field(
        default=None,
        ge=2,
        description="total number of translations, equally many into each class (default: the "
        "number of scored samples)",
    )
