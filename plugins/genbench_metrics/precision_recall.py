"""precision and recall: the overlap of samples and real images.

The radius of the ball around a point is the distance to its k-th neighbour in its own set:
Kynkäänniemi et al. (2019), "Improved precision and recall metric for assessing generative models",
arXiv:1904.06991, eq. 1 and 2. The computation is that of torch-fidelity, in chunks; a test compares
the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import PrecisionRecallSettings
from genbench_metrics.neighbours import radii, squared_distances

IMPLEMENTATION = "genbench-precision-recall-1"

BLOCK = 50
"""Rows of distances that are compared with radii at once."""
NEAR = 4
"""How many float32 numbers may have one root."""

K = TypeVar("K", bound=PrecisionRecallSettings)


class BallMetric(FeatureMetric[K]):
    """A measure with the balls around points; its floor is that of real training images."""

    name: str
    implementation = IMPLEMENTATION

    def begin(self, context: MetricContext) -> None:
        """Compute the balls of the test images, and the floor."""
        own = self._begin(context)
        self._radii = self._collected.kept("radii", own, lambda: self._balls(self._test))
        self._floor: float | None = self._collected.floor(self._protocol, self._measure)

    def _begin(self, context: MetricContext) -> dict[str, Any]:
        """Prepare the features; return what the metric's own protocol adds to theirs."""
        settings, k = self._settings, self._settings.nearest_k
        self._device = context.device
        chosen = features_for(self.name, context, settings)
        self._collected = Collected(self.name, context, chosen, n=settings.n, least=k + 1)
        self._test = self._collected.test
        own = {"nearest_k": k, "implementation": self.implementation}
        self._protocol = {**self._collected.reference, "distance": "euclidean", **own}
        return own

    def result(self) -> Sequence[Score]:
        """One score, by the metric's name."""
        value = self._measure(self._collected.samples)
        return [self._collected.score(value, self._protocol, direction="max", floor=self._floor)]

    def _balls(self, points: Tensor) -> Tensor:
        """The radius of the ball around each point, (n,), float32 on the CPU."""
        points = points.to(self._device)
        squared = radii(squared_distances(points, points), self._settings.nearest_k)
        return squared.clamp_min(0).sqrt().cpu()

    def _share_inside(self, points: Tensor, centres: Tensor, balls: Tensor) -> float:
        device = self._device
        return share_inside(points.to(device), centres.to(device), balls.to(device))

    def _measure(self, features: Tensor) -> float:
        raise NotImplementedError


class Precision(BallMetric[PrecisionRecallSettings]):
    """The share of samples in any ball of the test images, 0 to 1: quality."""

    name = "precision"
    defaults = PrecisionRecallSettings

    def _measure(self, features: Tensor) -> float:
        return self._share_inside(features, self._test, self._radii)


class Recall(BallMetric[PrecisionRecallSettings]):
    """The share of test images in any ball of the samples, 0 to 1: variety.

    A few outliers have very large balls: a generator of noise can reach 1 on raw pixels. Read it
    together with precision.
    """

    name = "recall"
    defaults = PrecisionRecallSettings

    def begin(self, context: MetricContext) -> None:
        """Compute the features of the test images, and the floor if there are enough of train."""
        self._begin(context)
        enough = len(context.data.train.x) > self._settings.nearest_k
        self._floor = self._collected.floor(self._protocol, self._measure) if enough else None

    def _measure(self, features: Tensor) -> float:
        return self._share_inside(self._test, features, self._balls(features))


def share_inside(points: Tensor, centres: Tensor, balls: Tensor) -> float:
    """The share of points within the radius of at least one centre, including its border."""
    bounds = largest_square(balls)
    # Small blocks stay in the processor's cache [9 ms for 1,000 rows of 10,000, 17 ms at once].
    inside = [
        (block - bounds).amin(1) <= 0
        for rows in squared_distances(points, centres)
        for block in torch.split(rows, BLOCK)
    ]
    return float(torch.cat(inside).double().mean())


def largest_square(roots: Tensor) -> Tensor:
    """The largest float32 numbers with float32 roots not larger than ``roots``.

    With them, squared distances are compared as their roots would be, also on the border.
    """
    found = roots.square()
    for _ in range(NEAR):
        found = torch.where(found.sqrt() > roots, found.nextafter(-found.new_ones(())), found)
    for _ in range(NEAR):
        above = found.nextafter(found.new_tensor(torch.inf))
        found = torch.where(above.sqrt() <= roots, above, found)
    return found
