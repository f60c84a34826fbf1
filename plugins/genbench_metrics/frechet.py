"""The Fréchet distance between two Gaussians, and their moments from a stream of features.

    d^2 = |mu1 - mu2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2))

Dowson and Landau (1982); as a score of samples: Heusel et al. (2017), arXiv:1706.08500.
"""

from __future__ import annotations

import torch
from torch import Tensor

IMPLEMENTATION = "genbench-frechet-1"
"""The name of this implementation in protocols; change it when the numbers change."""


class Moments:
    """Mean and covariance of a stream of feature vectors, in float64 and in constant memory.

    Minibatches are merged as in Chan, Golub and LeVeque (1979): each is centred on its own mean, so
    that features with a large mean and a small variance lose no digits (E[xx'] - mu mu' would).
    """

    def __init__(self) -> None:
        self.n = 0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Add a minibatch (b, d) of any float type."""
        if len(features) == 0:
            return
        # Metal has no float64.
        x = (features.cpu() if features.device.type == "mps" else features).to(torch.float64)
        mean = x.mean(0)
        centred = x - mean
        scatter = centred.T @ centred
        if self.n == 0:
            self._mean, self._scatter, self.n = mean, scatter, len(x)
            return
        total = self.n + len(x)
        delta = mean - self._mean
        self._scatter += scatter + torch.outer(delta, delta) * (self.n * len(x) / total)
        self._mean += delta * (len(x) / total)
        self.n = total

    @property
    def mean(self) -> Tensor:
        """The mean (d,), float64 on the CPU."""
        return self._mean.cpu()

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance (d, d), float64 on the CPU; nan for a single vector."""
        return self._scatter.cpu() / (self.n - 1) if self.n > 1 else self._scatter.cpu() * torch.nan


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Squared Fréchet distance of two Gaussians given by float64 moments; nan for moments with nan.

    It computes S1 = L L' by eigh, then the eigenvalues of the symmetric L' S2 L, which are those of
    S1 S2. This is faster than eigvals of the product, and 5 times as fast as a matrix root for
    d = 2048. Eigenvalues below 0 are rounding errors of singular covariances (n <= d); they count
    as 0.
    """
    if not all(bool(torch.isfinite(t).all()) for t in (mean1, cov1, mean2, cov2)):
        return float("nan")
    eigenvalues, vectors = torch.linalg.eigh(cov1)
    root = vectors * eigenvalues.clamp(min=0).sqrt()
    product = torch.linalg.eigvalsh(root.T @ cov2 @ root).clamp(min=0)
    shift = (mean1 - mean2).square().sum()
    distance = shift + cov1.trace() + cov2.trace() - 2 * product.sqrt().sum()
    return max(float(distance), 0.0)
