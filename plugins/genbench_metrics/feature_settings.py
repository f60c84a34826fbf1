"""The settings of the scores on features, of nearest and of samples_per_second (no torch here)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genbench import Settings
from genbench_metrics.metric_settings import SampleCountSettings

ExtractorName = Literal["auto", "classifier", "inception", "pixels"]


class FeatureSettings(SampleCountSettings):
    """Settings of all metrics on features."""

    extractor: ExtractorName = Field(
        default="auto",
        description="extractor of the features; auto: the classifier for labelled images, else "
        "the values themselves",
    )
    weights: str | None = Field(
        default=None,
        description="path of torch-fidelity's Inception weights (.pth), for the extractor "
        "inception; default: the cache of torch hub, or else a download",
    )


class KidSettings(FeatureSettings):
    """Settings of kid."""

    subsets: int = Field(default=100, ge=1, description="number of subsets in the mean")
    subset_size: int = Field(
        default=1000, ge=2, description="samples per subset; reduced if there are fewer"
    )


class InceptionScoreSettings(FeatureSettings):
    """Settings of is."""

    splits: int = Field(
        default=10, ge=1, description="number of splits of the samples, which are scored separately"
    )


class PrecisionRecallSettings(FeatureSettings):
    """Settings of precision and of recall."""

    nearest_k: int = Field(
        default=3,
        ge=1,
        description="k of the k-th nearest neighbour, which is the radius of a ball",
    )


class DensityCoverageSettings(PrecisionRecallSettings):
    """Settings of density and of coverage."""

    nearest_k: int = Field(
        default=5,
        ge=1,
        description="k of the k-th nearest neighbour, which is the radius of a ball",
    )


class NearestSettings(FeatureSettings):
    """Settings of nearest."""

    n: int | None = Field(
        default=1000,
        ge=2,
        description="number of samples and of test images to use, the first ones",
    )
    rows: int = Field(default=10, ge=1, description="number of samples in the picture")


class SamplesPerSecondSettings(Settings):
    """Settings of samples_per_second."""

    batch_size: int = Field(default=500, ge=1, description="samples per batch")
    batches: int = Field(default=5, ge=1, description="batches per timed run")
    runs: int = Field(
        default=7, ge=1, description="number of timed runs; the score is their median"
    )


class CopyingSettings(FeatureSettings):
    """Settings of ct."""

    n: int | None = Field(
        default=2000,
        ge=2,
        description="number of samples and of test images to use, the first ones",
    )
    cells: int = Field(
        default=5,
        ge=1,
        description="maximum number of cells of the space; each has 50 test images on average",
    )
    fewest: int = Field(
        default=20, ge=1, description="minimum number of samples in a cell that is counted"
    )


class AuthenticitySettings(FeatureSettings):
    """Settings of authenticity."""

    n: int | None = Field(
        default=2000,
        ge=2,
        description="number of samples and of test images to use, the first ones",
    )


class VendiSettings(FeatureSettings):
    """Settings of vendi."""


class NnAccuracySettings(FeatureSettings):
    """Settings of nn_accuracy."""

    n: int | None = Field(
        default=2000,
        ge=2,
        description="number of samples and of test images to use, the first ones",
    )


class FdInfSettings(FeatureSettings):
    """Settings of fd_inf."""

    points: int = Field(
        default=15, ge=3, le=1000, description="number of subsets that the line is fitted to"
    )
