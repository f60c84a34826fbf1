"""Models without training on which samplers and metrics are tried.

`Oracle` has every capability. `LatentOracle` judges codes, so that what a sampler draws is a sample
only once it is rendered; `LabelledOracle` shows in each sample which class it was asked for.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.contracts import NoisePath

LEVELS = (-0.75, -0.25, 0.25, 0.75)
"""The mean pixels of the classes of `LabelledOracle`."""


SPREAD = 0.2
"""The standard deviation of the normal samples that the velocity of `Oracle` leads to."""


class Oracle:
    """A model with known values for each capability: z ~ N(0, I), x = tanh(z), an exact logit.

    Its velocity is that of straight lines from N(0, I) to a normal of standard deviation `SPREAD`.
    """

    classes = 4
    path = NoisePath(
        start=0.0,
        end=1.0,
        signal=lambda t: t,
        noise=lambda t: 1.0 - t,
        times=lambda steps: [i / steps for i in range(steps + 1)],
        least=0.01,
        steps=4,
        bounded=True,
    )

    def __init__(self, shape: tuple[int, ...] = (1, 8, 8)) -> None:
        self.shape = shape
        self.nets = torch.nn.ModuleDict({"constants": _Constants(torch.tensor(LEVELS))})
        self.averaged = ()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal latents of the shape of a sample."""
        return _noise((n, *self.shape), generator, self.nets)

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
        """The density of tanh(z) within (-1, 1), by the change of variables."""
        z = torch.atanh(x.clamp(-0.99, 0.99)).flatten(1)
        log_normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        return log_normal - torch.log1p(-torch.tanh(z).square()).sum(1)

    def denoise(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[sample | x at the time t]: between the mean of the samples and x, by their weights."""
        mean = self._level(y)
        t = t.view(-1, *[1] * len(self.shape))
        weight = t * SPREAD**2 / ((t * SPREAD).square() + (1 - t).square())
        return mean + weight * (x - t * mean)

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean direction of the lines through x."""
        left = (1 - t).view(-1, *[1] * len(self.shape))
        return (self.denoise(x, t, y) - x) / left

    def _level(self, y: Tensor | None) -> Tensor:
        """The mean pixel of the samples."""
        return _values(self.nets).new_zeros(())

    def translate(self, x: Tensor, y: Tensor) -> Tensor:
        """x, whatever the domain."""
        return x


class LatentOracle:
    """A model that is judged in its latent space: h is a code (B, 12), and render(h) an image."""

    averaged = ()
    code = 12

    def __init__(self, shape: tuple[int, ...] = (1, 8, 8)) -> None:
        self.shape = shape
        seeded = torch.Generator().manual_seed(0)
        decoder = torch.randn(self.code, math.prod(shape), generator=seeded) / 4
        self.nets = torch.nn.ModuleDict({"constants": _Constants(decoder)})

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Standard normal latents."""
        return _noise((n, self.code), generator, self.nets)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """h = z / 2."""
        return z / 2

    def render(self, h: Tensor) -> Tensor:
        """The image of a code."""
        return torch.tanh(h @ _values(self.nets)).view(-1, *self.shape)

    def embed(self, x: Tensor) -> Tensor:
        """The code of an image."""
        return x.flatten(1) @ _values(self.nets).T / 16

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of the code, as a logit."""
        return h.mean(1)


class LabelledOracle(Oracle):
    """A model that must be given labels: the mean pixel of a sample is its class."""

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """h around the level of its class, within 0.2 of it."""
        return self._level(y) + 0.2 * torch.tanh(z)

    def _level(self, y: Tensor | None) -> Tensor:
        """The mean pixel of each sample's class."""
        assert y is not None, (
            "generate(z, y) of a conditional model got no labels; pass those of context.labels"
        )
        levels = _values(self.nets)
        level = y @ levels if y.dim() == 2 else levels.index_select(0, y)
        return level.view(-1, *[1] * len(self.shape))

    def class_of(self, x: Tensor) -> Tensor:
        """The classes that samples show, (B,)."""
        means = x.flatten(1).mean(1)
        return (means[:, None] - torch.tensor(LEVELS)).abs().argmin(1)


class _Constants(torch.nn.Module):
    """Values that are on the device of the model."""

    values: Tensor

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)


def _values(nets: torch.nn.ModuleDict) -> Tensor:
    constants = nets["constants"]
    assert isinstance(constants, _Constants)
    return constants.values


def _noise(
    shape: tuple[int, ...], generator: torch.Generator | None, nets: torch.nn.ModuleDict
) -> Tensor:
    return torch.randn(shape, generator=generator).to(_values(nets).device)
