"""precision and recall: the overlap of samples and real images.

The radius of the ball around a point is the distance to its k-th neighbour in its own set:
Kynkäänniemi et al. (2019), "Improved precision and recall metric for assessing generative models",
arXiv:1904.06991, eq. 1 and 2. The computation is that of torch-fidelity, in chunks; a test compares
the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import PrecisionRecallSettings
from genbench_metrics.neighbours import distances, radii

IMPLEMENTATION = "genbench-precision-recall-1"


class Precision:
    """The share of samples in any ball of the test images, 0 to 1: quality."""

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: PrecisionRecallSettings | None = None) -> None:
        self._settings = settings or PrecisionRecallSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the balls of the test images, and the floor."""
        self._collected, self._protocol = _begun("precision", context, self._settings)
        self._test = self._collected.test
        k = self._settings.nearest_k
        self._radii = self._collected.kept(
            "radii",
            {"nearest_k": k, "implementation": IMPLEMENTATION},
            lambda: radii(distances(self._test, self._test), k),
        )
        self._floor = self._collected.floor(self._protocol, self._precision)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._collected.update(images)

    def result(self) -> Sequence[Score]:
        """One score, ``precision``."""
        value = self._precision(self._collected.samples)
        return [self._collected.score(value, self._protocol, direction="max", floor=self._floor)]

    def _precision(self, features: Tensor) -> float:
        return share_inside(features, self._test, self._radii)


class Recall:
    """The share of test images in any ball of the samples, 0 to 1: variety.

    A few outliers have very large balls: a generator of noise can reach 1 on raw pixels. Read it
    together with precision.
    """

    uses: Literal["samples", "model"] = "samples"
    requires: tuple[str, ...] = ()

    def __init__(self, settings: PrecisionRecallSettings | None = None) -> None:
        self._settings = settings or PrecisionRecallSettings()

    def begin(self, context: MetricContext) -> None:
        """Compute the features of the test images, and the floor."""
        self._collected, self._protocol = _begun("recall", context, self._settings)
        self._test = self._collected.test
        self._floor = None
        if len(context.data.train.x) > self._settings.nearest_k:
            self._floor = self._collected.floor(self._protocol, self._recall)

    def update(self, images: Tensor) -> None:
        """Add a minibatch of samples."""
        self._collected.update(images)

    def result(self) -> Sequence[Score]:
        """One score, ``recall``."""
        value = self._recall(self._collected.samples)
        return [self._collected.score(value, self._protocol, direction="max", floor=self._floor)]

    def _recall(self, features: Tensor) -> float:
        balls = radii(distances(features, features), self._settings.nearest_k)
        return share_inside(self._test, features, balls)


def share_inside(points: Tensor, centres: Tensor, balls: Tensor) -> float:
    """The share of points within the radius of at least one centre, including its border."""
    inside = [(rows <= balls).any(dim=1) for rows in distances(points, centres)]
    return float(torch.cat(inside).double().mean())


def _begun(
    metric: str, context: MetricContext, settings: PrecisionRecallSettings
) -> tuple[Collected, Mapping[str, Any]]:
    chosen = features_for(metric, context, settings)
    least = settings.nearest_k + 1
    collected = Collected(metric, context, chosen, n=settings.n, least=least)
    protocol = {
        **collected.reference,
        "distance": "euclidean",
        "nearest_k": settings.nearest_k,
        "implementation": IMPLEMENTATION,
    }
    return collected, protocol
