"""A model without training that has every capability: samplers and metrics are tried on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Oracle:
    """A model whose every capability is known: z ~ N(0, I), x = tanh(z), an exact logit."""

    classes = 4

    def __init__(self, shape: tuple[int, ...] = (1, 8, 8)) -> None:
        self.shape = shape
        self.nets = torch.nn.ModuleDict()
        self.averaged = ()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal latents of the shape of a sample."""
        return torch.randn(n, *self.shape, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """h = tanh(z)."""
        return torch.tanh(z)

    def render(self, h: Tensor) -> Tensor:
        """The identity."""
        return h

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean pixel, as a logit."""
        return h.flatten(1).mean(1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The latent that generates x, without any variance."""
        mean = torch.atanh(x.clamp(-0.99, 0.99)).flatten(1)
        return mean, torch.full_like(mean, -torch.inf)

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """x, but for the ends of its range."""
        return x.clamp(-0.99, 0.99)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """A normal of unit variance around tanh(z), up to a constant."""
        return -0.5 * (x - torch.tanh(z)).square().flatten(1).sum(1)

    def log_density(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """That of tanh(z) in the open range, by the change of variables."""
        z = torch.atanh(x.clamp(-0.99, 0.99)).flatten(1)
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        return log_normal - torch.log1p(-torch.tanh(z).square()).sum(1)

    def translate(self, x: Tensor, y: Tensor) -> Tensor:
        """x, whatever the domain."""
        return x
