"""vendi: the effective number of different samples (Friedman & Dieng 2023, arXiv:2210.02410).

exp(-sum l log l) over the eigenvalues l of K / n, where K holds the cosine similarities of the
features of n samples: 1 if all point the same way, at most the number of features. The eigenvalues
are those of the features' matrix F'F / n, which is smaller than K.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.collected import Collected, FeatureMetric
from genbench_metrics.extractors import features_for
from genbench_metrics.feature_settings import VendiSettings


class Vendi(FeatureMetric[VendiSettings]):
    """One score; best near its floor, which is that of real images: noise has more variety."""

    defaults = VendiSettings

    def begin(self, context: MetricContext) -> None:
        """Get the floor, the score of as many training images."""
        settings = self._settings
        chosen = features_for("vendi", context, settings)
        self._collected = Collected("vendi", context, chosen, n=settings.n)
        self._protocol = {
            "kernel": "cosine",
            "reference": "train",
            "reference_digest": context.data.train.digest,
            "implementation": "genbench-vendi-1",
        }
        self._floor = self._collected.floor(self._protocol, vendi_score)

    def result(self) -> Sequence[Score]:
        """One score, ``vendi``."""
        value = vendi_score(self._collected.samples)
        floor = self._floor
        return [self._collected.score(value, self._protocol, direction="floor", floor=floor)]


def vendi_score(features: Tensor) -> float:
    """The exponential of the entropy of the eigenvalues, of features (n, d); 0-vectors are kept."""
    x = features.double()
    x = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    gram = x.T @ x if x.shape[1] <= x.shape[0] else x @ x.T
    shares = torch.linalg.eigvalsh(gram / len(x))
    shares = shares[shares > 1e-12]
    return float(torch.exp(-(shares * shares.log()).sum()))
