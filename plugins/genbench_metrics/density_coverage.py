"""density and coverage: versions of precision and recall that are robust to outliers.

Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models",
arXiv:2002.09797, eq. 5 and 6. Only the test images have balls, so that outliers among the samples
don't improve a score. A test compares both with the authors' package `prdc`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genbench_metrics.feature_settings import DensityCoverageSettings
from genbench_metrics.neighbours import careful_distances, radii
from genbench_metrics.precision_recall import BallMetric

IMPLEMENTATION = "genbench-density-coverage-1"


class _TestBalls(BallMetric[DensityCoverageSettings]):
    """Balls around the test images, by distances that are computed as in `prdc`."""

    implementation = IMPLEMENTATION
    defaults = DensityCoverageSettings

    def _balls(self, points: Tensor) -> Tensor:
        return radii(careful_distances(points, points), self._settings.nearest_k)


class Density(_TestBalls):
    """The mean number of test images' balls around a sample, over k; about 1 for real data."""

    name = "density"

    def _measure(self, features: Tensor) -> float:
        held = 0
        for rows in careful_distances(features, self._test):
            held += int((rows < self._radii).sum())
        return held / (self._settings.nearest_k * len(features))


class Coverage(_TestBalls):
    """The share of test images with a sample in their ball, 0 to 1."""

    name = "coverage"

    def _measure(self, features: Tensor) -> float:
        nearest = torch.cat([rows.amin(1) for rows in careful_distances(self._test, features)])
        return float((nearest < self._radii).double().mean())
