"""The law of a pixel's value: parameters from a network -> log-mass, and distribution function.

Parameters are (B, K, H, W); x is (B, H, W) in [-1, 1]. Level u of the 256 is the interval [u / 128
- 1, (u + 1) / 128 - 1) of `genbench.dequantized`, of which the first and the last are unbounded to
the outside. A law also gives the probabilities of the levels below each edge between two levels,
(B, levels - 1) for parameters (B, K), by which samples are drawn.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 256


class Law(Protocol):
    """A law over ``levels`` levels with ``size`` parameters."""

    levels: int
    size: int

    def log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """log P(x) in nats, (B, H, W), from parameters (B, K, H, W)."""

    def below(self, parameters: Tensor) -> Tensor:
        """P(value < edge) for the edges between levels, (B, levels - 1), from (B, K)."""


class Bernoulli:
    """Black or white; a grey value t in [0, 1] counts as t white and 1 - t black ones."""

    levels, size = 2, 1

    def log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Minus the binary cross-entropy."""
        white = x.add(1).mul(0.5)
        return -F.binary_cross_entropy_with_logits(parameters[:, 0], white, reduction="none")

    def below(self, parameters: Tensor) -> Tensor:
        """The probability of black."""
        return torch.sigmoid(-parameters)


class Categorical:
    """A free mass for each level."""

    levels, size = GREY, GREY

    def log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The log-softmax at the level."""
        return -F.cross_entropy(parameters, level_of(x), reduction="none")

    def below(self, parameters: Tensor) -> Tensor:
        """Sums of the masses."""
        return parameters.softmax(1).cumsum(1)[:, :-1]


class Logistics:
    """A mixture of discretised logistics (PixelCNN++, Salimans et al. 2017, arXiv:1701.05517).

    Eq. 2. A component's mass between a and b is F(a) - F(b) = F(a) F(-b) (1 - exp(b - a)), which
    loses no digits far away from its mean.
    """

    levels = GREY

    def __init__(self, components: int) -> None:
        self.size = 3 * components

    def log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The log of the weighted masses of the components."""
        weights, mean, inverse_scale = self._parts(parameters)
        level = level_of(x)[:, None]
        lower = (level / 128 - 1 - mean) * inverse_scale
        width = inverse_scale / 128
        upper = lower + width
        log_upper = torch.where(level < GREY - 1, F.logsigmoid(upper), torch.zeros_like(upper))
        log_lower = torch.where(level > 0, F.logsigmoid(-lower), torch.zeros_like(lower))
        inner = torch.log(-torch.expm1(-width))
        inside = (level > 0) & (level < GREY - 1)
        log_mass = log_upper + log_lower + torch.where(inside, inner, torch.zeros_like(inner))
        return torch.logsumexp(weights.log_softmax(1) + log_mass, dim=1)

    def below(self, parameters: Tensor) -> Tensor:
        """The distribution function at the edges."""
        weights, mean, inverse_scale = self._parts(parameters[..., None])
        edges = torch.arange(1, GREY, device=parameters.device) / 128 - 1
        each = torch.sigmoid((edges - mean) * inverse_scale)
        return (weights.softmax(1) * each).sum(1)

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and inverse scales, (B, M, ...) each."""
        weights, mean, log_scale = parameters.chunk(3, dim=1)
        return weights, mean, torch.exp(-(log_scale - 2).clamp(-7, 7))


def level_of(x: Tensor) -> Tensor:
    """The grey level of pixels in [-1, 1], dequantised or not, int64."""
    return x.add(1).mul(128).floor().clamp(0, GREY - 1).long()


def value_of(level: Tensor, levels: int) -> Tensor:
    """The pixel in [-1, 1] of a level, as `genbench.to_float` gives it."""
    return level.float().mul(2 / (levels - 1)).sub(1)
