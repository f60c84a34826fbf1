"""Ex-post density estimation: the distribution of codes, fitted once an autoencoder is trained.

A mixture of Gaussians is fitted to the codes of the training set, and a sample is the decoding of
a draw from it (Ghosh et al. 2020, "From variational to deterministic autoencoders",
arXiv:1903.12436). An autoencoder without a prior samples from it, and one with a prior
(a VAE) closes the gap between the prior and its codes. The paper fits 10 components; here the
number is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn

from genbench import DataSpec, Stage
from genbench_nets.ex_post_settings import ExPostSettings
from genbench_nets.mixture import GaussianMixture
from genbench_nets.mixture_fit import fit_mixture

Encode = Callable[[Tensor, torch.Generator], Tensor]
"""Samples (B, *shape) and a CPU generator -> their codes (B, *code)."""


class ExPostDensity(nn.Module):
    """Noise z ~ N(0, I), (B, 1 + values of a code) -> codes (B, *code), after `stage` has run.

    The first dimension of z picks the component and the others a place in it. Before, codes are
    N(0, I).
    """

    def __init__(self, settings: ExPostSettings, data: DataSpec) -> None:
        super().__init__()
        self.code = settings.latent_shape(data)
        self._limit = settings.fit_samples
        size = prod(self.code)
        self.noise = 1 + size
        self.mixture = GaussianMixture(settings.components, size, settings.covariance)

    def stage(self, codes: Encode) -> Stage:
        """Encode the training set once, fit the mixture: one epoch without steps."""

        def prepare(x: Tensor, generator: torch.Generator) -> Tensor:
            return codes(x, generator).float().flatten(1)

        return Stage(name="density", phases=(), prepare=prepare, fit=self.fit)

    def fit(self, codes: Tensor) -> None:
        """Fit the mixture to flat codes (N, values)."""
        mixture = self.mixture
        mixture.adopt(
            fit_mixture(
                codes,
                components=len(mixture.weights),
                covariance=mixture.covariance,
                limit=self._limit,
            )
        )

    def forward(self, z: Tensor) -> Tensor:
        """Codes, differentiable in all of z but its first dimension."""
        codes: Tensor = self.mixture(z)
        return codes.view(z.shape[0], *self.code)

    def log_prob(self, code: Tensor) -> Tensor:
        """The log-density of codes (B, *code) in nats, (B,)."""
        return self.mixture.log_prob(code.flatten(1))
