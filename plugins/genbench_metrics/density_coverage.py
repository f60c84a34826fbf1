"""density and coverage: versions of precision and recall that are robust to outliers.

Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models",
arXiv:2002.09797, eq. 5 and 6. Only the test images have balls, so that outliers among the samples
don't improve a score. A test compares both with the authors' package `prdc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import DensityCoverageSettings
from genbench_metrics.neighbours import careful_distances, radii

IMPLEMENTATION = "genbench-density-coverage-1"


class _Balls:
    """Balls around the test images; the floor is the same measure of real training images."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()
    name: str

    def __init__(self, settings: DensityCoverageSettings | None = None) -> None:
        self._settings = settings or DensityCoverageSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the balls of the test images, and the floor."""
        settings, k = self._settings, self._settings.nearest_k
        chosen = features_for(self.name, context, settings)
        self._collected = Collected(self.name, context, chosen, n=settings.n, least=k + 1)
        self._test = test = self._collected.test
        own = {"nearest_k": k, "implementation": IMPLEMENTATION}
        self._radii = self._collected.kept(
            "radii", own, lambda: radii(careful_distances(test, test), k)
        )
        self._protocol = {**self._collected.reference, "distance": "euclidean", **own}
        self._floor = self._collected.floor(self._protocol, self._measure)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._collected.update(images)

    def result(self) -> Sequence[Score]:
        """One score, by the metric's name."""
        value = self._measure(self._collected.samples)
        return [self._collected.score(value, self._protocol, direction="max", floor=self._floor)]

    def _measure(self, features: Tensor) -> float:
        raise NotImplementedError


class Density(_Balls):
    """The mean number of test images' balls around a sample, over k; about 1 for real data."""

    name = "density"

    def _measure(self, features: Tensor) -> float:
        held = 0
        for rows in careful_distances(features, self._test):
            held += int((rows < self._radii).sum())
        return held / (self._settings.nearest_k * len(features))


class Coverage(_Balls):
    """The share of test images with a sample in their ball, 0 to 1."""

    name = "coverage"

    def _measure(self, features: Tensor) -> float:
        nearest = torch.cat([rows.amin(1) for rows in careful_distances(self._test, features)])
        return float((nearest < self._radii).double().mean())
