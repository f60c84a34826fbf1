"""An implicit posterior with known moments (Mescheder et al. 2017, arXiv:1701.04722).

z = a_0(x) + sum_i v_i(eps) * a_i(x), elementwise, i = 1 .. K, eps ~ N(0, I): the encoder gives
all a, and a small network gives all v from the noise (as in the paper's encoder on MNIST, but its
noise is split among the v_i, and ours is common to them). So q(z|x) has no density in closed form,
but its mean and its variance follow from those of v, which do not depend on x.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genbench_nets.mlp import mlp

DRAWS = 256
"""Number of draws of the noise in a buffer; the moments of v are means over them."""
SMALLEST = 1e-8
"""Smallest variance, so that its logarithm is finite."""


class ImplicitPosterior(nn.Module):
    """x -> a draw z of q(z|x) with the mean and log-variance of q, each (B, z_dim).

    ``body`` maps x to (B, (basis + 1) * z_dim).
    """

    draws: Tensor

    def __init__(
        self, body: nn.Module, *, z_dim: int, basis: int, noise_dim: int, hidden: int
    ) -> None:
        super().__init__()
        self.body, self.z_dim, self.basis, self.noise_dim = body, z_dim, basis, noise_dim
        self.noise = mlp((noise_dim, hidden, basis * z_dim), act="elu")
        self.register_buffer("draws", torch.randn(DRAWS, noise_dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A draw for each sample, and the moments."""
        first, others = self._parts(x)
        eps = torch.randn(len(x), self.noise_dim, device=x.device)
        z = first + (self._weights(eps) * others).sum(1)
        return z, *self._moments(first, others)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x); those of v are estimated by the kept draws."""
        return self._moments(*self._parts(x))

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """a_0 (B, z_dim) and the other a (B, K, z_dim)."""
        found = self.body(x).float().unflatten(1, (self.basis + 1, self.z_dim))
        return found[:, 0], found[:, 1:]

    def _weights(self, eps: Tensor) -> Tensor:
        """v (n, K, z_dim) of noise (n, noise_dim)."""
        weights: Tensor = self.noise(eps).float().unflatten(1, (self.basis, self.z_dim))
        return weights

    def _moments(self, first: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        v = self._weights(self.draws)
        centre = v.mean(0)
        # In bf16 a variance is off by up to 1 %, and a small one may fall below 0.
        with torch.autocast(others.device.type, enabled=False):
            # The covariance of the weights for each latent: (z_dim, K, K).
            covariance = torch.einsum("nid,njd->dij", v - centre, v - centre) / (len(v) - 1)
            variance = torch.einsum("bid,dij,bjd->bd", others, covariance, others)
        return first + (centre * others).sum(1), variance.clamp_min(SMALLEST).log()
