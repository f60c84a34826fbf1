"""A mixture of Gaussians as a layer: standard normal noise in, draws of the mixture out.

It is a module like any other: its parameters (fitted by `genbench_nets.mixture_fit`) are buffers,
its draws depend only on the noise that it is given, and a draw is differentiable in that noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Covariance = Literal["full", "diag"]


@dataclass(frozen=True, kw_only=True)
class Components:
    """The parameters of a mixture of k Gaussians in d dimensions: float tensors on the CPU.

    ``weights`` (k,) sum to 1; ``means`` (k, d); ``scales`` are the lower Cholesky factors of the
    covariances (k, d, d), or for diagonal ones the standard deviations (k, d).
    """

    weights: Tensor
    means: Tensor
    scales: Tensor


class GaussianMixture(nn.Module):
    """Noise (B, 1 + size) -> draws (B, size). It is N(0, I) until it is fitted."""

    weights: Tensor
    means: Tensor
    scales: Tensor

    def __init__(self, components: int, size: int, covariance: Covariance = "full") -> None:
        super().__init__()
        unit = torch.eye(size) if covariance == "full" else torch.ones(size)
        self.size, self.covariance = size, covariance
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, size))
        self.register_buffer("scales", unit.repeat(components, *[1] * unit.dim()))

    def adopt(self, found: Components) -> None:
        """Set the fitted components, at most as many as this has.

        The missing ones have weight 0 and come first, where no noise picks them.
        """
        missing = len(self.weights) - len(found.weights)
        for buffer, values in (
            (self.weights, found.weights),
            (self.means, found.means),
            (self.scales, found.scales),
        ):
            buffer[missing:] = values.to(buffer)
        self.weights[:missing] = 0

    def pick(self, u: Tensor) -> Tensor:
        """The component of each u ~ N(0, 1), int64 (B,): that with the share around Phi(u)."""
        upper_ends = self.weights.cumsum(0)[:-1]
        # What searchsorted(right=True) gives, in operations that ONNX has.
        chosen: Tensor = (upper_ends <= torch.special.ndtr(u.float())[:, None]).sum(1)
        return chosen

    def forward(self, noise: Tensor) -> Tensor:
        """mean + L eps of the component that noise[:, 0] picks, eps = noise[:, 1:]; float32."""
        chosen = self.pick(noise[:, 0].detach())
        mean, scale, eps = self.means[chosen], self.scales[chosen], noise[:, 1:].float()
        if self.covariance == "diag":
            return mean + scale * eps
        # A matrix product would be computed in bf16 under autocast.
        return mean + (scale * eps[:, None]).sum(2)

    def log_prob(self, code: Tensor) -> Tensor:
        """The log-density of codes (B, size) in nats, (B,)."""
        deviation = code.float()[None] - self.means[:, None]
        if self.covariance == "diag":
            white = deviation / self.scales[:, None]
            log_volume = self.scales.log().sum(1)
        else:
            white = torch.linalg.solve_triangular(self.scales, deviation.mT, upper=False).mT
            log_volume = self.scales.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = self.weights.log() - log_volume - 0.5 * self.size * math.log(2 * math.pi)
        return torch.logsumexp(constant[:, None] - 0.5 * white.square().sum(2), dim=0)
