"""nn_accuracy: how well a nearest neighbour tells samples from real images.

The leave-one-out accuracy of a 1-NN classifier between samples and as many test images (Lopez-Paz &
Oquab 2017, arXiv:1610.06545; as a score of GANs: Xu et al. 2018, arXiv:1806.07755): 0.5 if both
have one law, 1 if they are apart. It is below 0.5 only if samples are copies of test images.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import NnAccuracySettings
from genbench_metrics.neighbours import careful_distances


class NnAccuracy(FeatureMetric[NnAccuracySettings]):
    """One score; the note has the accuracy on real images and on samples alone."""

    defaults = NnAccuracySettings

    def begin(self, context: MetricContext) -> None:
        """Get the floor, the score of training images in the place of the samples."""
        settings = self._settings
        chosen = features_for("nn_accuracy", context, settings)
        self._collected = Collected("nn_accuracy", context, chosen, n=settings.n)
        self._test = self._collected.test
        self._protocol = {
            **self._collected.reference,
            "distance": "euclidean",
            "implementation": "genbench-nn-accuracy-1",
        }
        self._floor = self._collected.floor(self._protocol, lambda train: self._right(train)[0])

    def result(self) -> Sequence[Score]:
        """One score, ``nn_accuracy``."""
        value, real, made = self._right(self._collected.samples)
        note = f"real images {real:.3f}, samples {made:.3f} (both 0.5 for equal distributions)"
        return [
            self._collected.score(
                value, self._protocol, direction="min", floor=self._floor, notes=(note,)
            )
        ]

    def _right(self, samples: Tensor) -> tuple[float, float, float]:
        """The accuracy on all, on the real images, and on the samples, of equally many each."""
        n = min(len(samples), len(self._test))
        points = torch.cat([self._test[:n], samples[:n]])
        is_real = torch.arange(2 * n) < n
        guessed, start = [], 0
        for rows in careful_distances(points, points):
            own = torch.arange(len(rows))
            rows[own, start + own] = torch.inf
            guessed.append(is_real[rows.argmin(1)])
            start += len(rows)
        right = (torch.cat(guessed) == is_real).double()
        return float(right.mean()), float(right[:n].mean()), float(right[n:].mean())
