"""The settings of the scores on features, of nearest and of samples_per_second (no torch here)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genbench import Settings

ExtractorName = Literal["auto", "classifier", "inception", "pixels"]


class FeatureSettings(Settings):
    """What every score on features can be told."""

    n: int | None = Field(
        default=None, ge=2, description="use only the first n samples of the draw (default: all)"
    )
    extractor: ExtractorName = Field(
        default="auto",
        description="what makes the features; auto: the classifier for labelled images, else the "
        "values themselves",
    )
    weights: str | None = Field(
        default=None,
        description="path of torch-fidelity's Inception weights (.pth), for extractor inception; "
        "default: torch hub's cache, else a download",
    )


class KidSettings(FeatureSettings):
    """Settings of kid."""

    subsets: int = Field(default=100, ge=1, description="how many subsets the mean is over")
    subset_size: int = Field(
        default=1000, ge=2, description="samples in a subset; lowered where there are fewer"
    )


class InceptionScoreSettings(FeatureSettings):
    """Settings of is."""

    splits: int = Field(default=10, ge=1, description="splits of the samples, scored apart")


class PrecisionRecallSettings(FeatureSettings):
    """Settings of precision and of recall."""

    nearest_k: int = Field(default=3, ge=1, description="a ball reaches to its k-th neighbour")


class DensityCoverageSettings(FeatureSettings):
    """Settings of density and of coverage."""

    nearest_k: int = Field(default=5, ge=1, description="a ball reaches to its k-th neighbour")


class NearestSettings(FeatureSettings):
    """Settings of nearest."""

    n: int | None = Field(
        default=1000, ge=2, description="use only the first n samples, and test images"
    )
    rows: int = Field(default=10, ge=1, description="samples in the picture")


class SamplesPerSecondSettings(Settings):
    """Settings of samples_per_second."""

    batch_size: int = Field(default=500, ge=1, description="samples generated at once")
    batches: int = Field(default=5, ge=1, description="batches in one timed run")
    runs: int = Field(default=7, ge=1, description="timed runs; the score is their median")
