"""Generators and discriminators with exact densities that are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench import SampleContext

MEAN, STD = 0.5, 0.6


class Gaussians:
    """p_model = N(0, 1), p_data = N(0.5, 0.6^2), h = G(z) = z, and their exact log ratio."""

    prior_kind = "normal"

    def __init__(self) -> None:
        self.nets = torch.nn.ModuleDict()

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 1, generator=generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z

    def render(self, h: Tensor) -> Tensor:
        return h

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        z = (h - MEAN) / STD
        return (h.square() / 2 - z.square() / 2 - math.log(STD)).squeeze(1)


class Uniform(Gaussians):
    """The same target from z ~ U(-1, 1) and h = sqrt(2) erfinv(z), which is N(0, 1) again."""

    prior_kind = "uniform"

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.rand(n, 1, generator=generator) * 2 - 1

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return math.sqrt(2) * torch.erfinv(z.clamp(-1 + 1e-7, 1 - 1e-7))


class Critic(Gaussians):
    """The same knowledge on another scale, as a Wasserstein critic or an energy has it."""

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        return 3 * super().discriminate(h, y) + 7


class TwoClasses(Gaussians):
    """p_data(h | y) = N(-0.5, 0.6^2) for y = 0 and N(0.5, 0.6^2) for y = 1."""

    classes = 2

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        assert y is not None
        return super().discriminate(h * (2 * y[:, None] - 1))


class Banana(Gaussians):
    """z ~ N(0, I) in the plane; p_data ~ N(0, I) exp(d), d a bent ridge up to 3 high."""

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, 2, generator=generator)

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        off = h[:, 1] + 0.5 - 0.6 * h[:, 0].square()
        return 3 * torch.exp(-off.square() / (2 * 0.4**2))


MODELS = {model.__name__: model for model in (Gaussians, Uniform, Critic, TwoClasses, Banana)}


@pytest.fixture
def oracle() -> Callable[[str], Any]:
    """A model with known densities, by its name."""
    return lambda name: MODELS[name]()


def real_samples(n: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(99)
    for start in range(0, n, 500):
        yield MEAN + STD * torch.randn(min(500, n - start), 1, generator=generator)


@pytest.fixture
def context() -> Callable[..., SampleContext]:
    """What a sampler gets, with exact samples of p_data for real ones."""

    def make(seed: int = 0, **changes: Any) -> SampleContext:
        made = SampleContext(
            device=torch.device("cpu"),
            generator=torch.Generator().manual_seed(seed),
            batch_size=5000,
            real=real_samples,
            training=real_samples,
        )
        return replace(made, **changes)

    return make


@pytest.fixture
def drawn(context) -> Callable[..., Tensor]:
    """All samples of one draw."""

    def draw(sampler: Any, model: Any, n: int, **changes: Any) -> Tensor:
        return torch.cat(list(sampler.draw(model, n, context(**changes))))

    return draw


@pytest.fixture
def misfit() -> Callable[[Tensor], float]:
    """Chi-square a degree of freedom of samples on a grid, against `Banana` by quadrature."""
    fine, cells = 40, 8
    low, width = torch.tensor([-2.4, -1.6]), torch.tensor([4.8, 4.0])
    line = (torch.arange(fine * cells) + 0.5) / (fine * cells)
    points = torch.cartesian_prod(line, line).double() * width + low
    density = torch.exp(-points.square().sum(1) / 2 + Banana().discriminate(points))
    shares = density.view(cells, fine, cells, fine).sum((1, 3)).flatten()
    everything = torch.cartesian_prod(*[torch.linspace(-7, 12, 2000).double()] * 2)
    total = torch.exp(-everything.square().sum(1) / 2 + Banana().discriminate(everything)).sum()
    cell_area = float(width.prod()) / (fine * cells) ** 2
    shares = shares * cell_area / (total * (19 / 1999) ** 2)
    shares = torch.cat((shares, 1 - shares.sum(0, keepdim=True)))

    def measure(x: Tensor) -> float:
        places = ((x - low) / width * cells).floor().long()
        inside = ((places >= 0) & (places < cells)).all(1)
        index = torch.where(inside, places[:, 0] * cells + places[:, 1], cells * cells)
        found = torch.bincount(index, minlength=cells * cells + 1).double()
        expected = shares * len(x)
        big = expected >= 10
        if not big.all():
            found = torch.cat((found[big], found[~big].sum(0, keepdim=True)))
            expected = torch.cat((expected[big], expected[~big].sum(0, keepdim=True)))
        return float(((found - expected) ** 2 / expected).sum() / (len(expected) - 1))

    return measure
