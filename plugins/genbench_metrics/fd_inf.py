"""fd_inf: the Fréchet distance at infinitely many samples, by extrapolation.

The distance is biased upwards by a term in 1 / n that depends on the generator. Chong & Forsyth
2020, arXiv:1911.07023, section 3, fit a line over 1 / n to the distances of subsets of the samples
and take its value at 0. The test split is used as it is, so its own bias stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import FdInfSettings
from genbench_metrics.frechet import Moments, frechet_distance

SMALLEST = 0.1
"""The smallest subset, as a share of the samples."""


class FdInf(FeatureMetric[FdInfSettings]):
    """One score on any features; its floor is that of training images."""

    defaults = FdInfSettings

    def begin(self, context: MetricContext) -> None:
        """Get the moments of the test split, and the floor."""
        settings = self._settings
        chosen = features_for("fd_inf", context, settings)
        least = max(20, settings.points)
        self._collected = Collected("fd_inf", context, chosen, n=settings.n, least=least)
        self._reference = _moments(self._collected.test)
        self._protocol = {
            **self._collected.reference,
            "points": settings.points,
            "smallest subset": SMALLEST,
            "implementation": "genbench-fd-inf-1",
        }
        self._floor = self._collected.floor(self._protocol, lambda x: self._extrapolated(x)[0])

    def result(self) -> Sequence[Score]:
        """One score, ``fd_inf``; the note has the distance of all samples, and the fit's error."""
        value, error, plain = self._extrapolated(self._collected.samples)
        note = f"standard error of the fit {error:.2g}; {plain:.4g} at n = {self._collected.n}"
        return [
            self._collected.score(
                value, self._protocol, direction="min", floor=self._floor, notes=(note,)
            )
        ]

    def _extrapolated(self, features: Tensor) -> tuple[float, float, float]:
        """The line's value at 1 / n = 0, its standard error, and the distance of all samples."""
        sizes = np.linspace(SMALLEST * len(features), len(features), self._settings.points)
        sizes = np.maximum(sizes.round().astype(int), 2)
        order = np.random.default_rng(0)
        found = np.array([self._distance(features, int(size), order) for size in sizes])
        design = np.stack([np.ones(len(sizes)), 1 / sizes], 1)
        line, *_ = np.linalg.lstsq(design, found, rcond=None)
        freedom = max(1, len(sizes) - 2)
        noise = float(((found - design @ line) ** 2).sum() / freedom)
        error = float(np.sqrt(noise * np.linalg.inv(design.T @ design)[0, 0]))
        return float(line[0]), error, float(found[-1])

    def _distance(self, features: Tensor, size: int, order: np.random.Generator) -> float:
        """The distance of a random subset to the test split."""
        rows = torch.from_numpy(order.choice(len(features), size, replace=False))
        some, real = _moments(features[rows]), self._reference
        return frechet_distance(some.mean, some.covariance, real.mean, real.covariance)


def _moments(features: Tensor) -> Moments:
    moments = Moments()
    moments.update(features)
    return moments
