"""density and coverage: versions of precision and recall that are robust to outliers.

Naeem et al. (2020), "Reliable fidelity and diversity metrics for generative models",
arXiv:2002.09797, eq. 5 and 6. Only the test images have balls, so that outliers among the samples
don't improve a score. A test compares both with the authors' package `prdc`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import DensityCoverageSettings
from genbench_metrics.neighbours import careful_distances, radii

IMPLEMENTATION = "genbench-density-coverage-1"


class Density:
    """The mean number of test images' balls around a sample, over k; about 1 for real data."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: DensityCoverageSettings | None = None) -> None:
        self._settings = settings or DensityCoverageSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the balls of the test images, and the floor."""
        self._balls = _Balls("density", context, self._settings, _density)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._balls.collected.update(images)

    def result(self) -> Sequence[Score]:
        """One score, ``density``."""
        return [self._balls.score()]


class Coverage:
    """The share of test images with a sample in their ball, 0 to 1."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: DensityCoverageSettings | None = None) -> None:
        self._settings = settings or DensityCoverageSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the balls of the test images, and the floor."""
        self._balls = _Balls("coverage", context, self._settings, _coverage)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._balls.collected.update(images)

    def result(self) -> Sequence[Score]:
        """One score, ``coverage``."""
        return [self._balls.score()]


class _Balls:
    """The samples of one draw and the balls of the test images, with their ``measure``."""

    def __init__(
        self,
        metric: str,
        context: MetricContext,
        settings: DensityCoverageSettings,
        measure: Callable[..., float],
    ) -> None:
        k = settings.nearest_k
        chosen = features_for(metric, context, settings)
        self.collected = Collected(metric, context, chosen, n=settings.n, least=k + 1)
        test = self.collected.test
        own = {"nearest_k": k, "implementation": IMPLEMENTATION}
        balls = self.collected.kept("radii", own, lambda: radii(careful_distances(test, test), k))
        self._protocol = {**self.collected.reference, "distance": "euclidean", **own}
        self._measure = partial(measure, centres=test, balls=balls, k=k)
        self._floor = self.collected.floor(self._protocol, self._measure)

    def score(self) -> Score:
        value = self._measure(self.collected.samples)
        return self.collected.score(value, self._protocol, direction="max", floor=self._floor)


def _density(features: Tensor, centres: Tensor, balls: Tensor, k: int) -> float:
    held = 0
    for rows in careful_distances(features, centres):
        held += int((rows < balls).sum())
    return held / (k * len(features))


def _coverage(features: Tensor, centres: Tensor, balls: Tensor, k: int) -> float:
    nearest = torch.cat([rows.amin(1) for rows in careful_distances(centres, features)])
    return float((nearest < balls).double().mean())
