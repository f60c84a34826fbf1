"""EDM (Karras et al. 2022, "Elucidating the design space", arXiv:2206.00364).

Noise of the level sigma is added to a sample, x = y + sigma n. The denoiser D is trained at all
levels, log sigma ~ N(-1.2, 1.2^2), by

    L = E lambda(sigma) | D(y + sigma n; sigma) - y |^2,
    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise),

where the network F sees inputs and targets of unit variance at each level (table 1), with the
standard deviation s of the data:

    c_skip = s^2 / (sigma^2 + s^2),    c_out = sigma s / sqrt(sigma^2 + s^2),
    c_in = 1 / sqrt(sigma^2 + s^2),    c_noise = log(sigma) / 4,    lambda = 1 / c_out^2.

As sigma goes to 0, D returns x; as it grows, D is what F makes of pure noise. The noise level is
the time while sampling, which falls from 80: dx/dsigma = (x - D) / sigma, by 18 steps of Heun at
times with rho = 7 (algorithm 1; the stochastic algorithm 2 is left out). The networks are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, NoisePath, Optimizer, Phase, Stage, Terms
from genbench_flow.flow_settings import EDMSettings
from genbench_flow.networks import Field, beside
from genbench_flow.solvers import edm_times, evaluations_of, flow_map
from genbench_nets.prior_noise import draw_prior

STEPS = 18
"""Steps of Heun: 35 evaluations, as for CIFAR-10 in the paper."""


class EDM:
    """The denoiser (x, sigma) -> sample; the time is sigma."""

    averaged = ("denoiser",)

    def __init__(self, settings: EDMSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings.fitted(data)
        self._shape, self._field = data.shape, Field(s, data)
        if s.conditional:
            self.classes = self._field.classes
        self.path = NoisePath(
            start=s.sigma_max,
            end=0.0,
            signal=lambda t: 1.0,
            noise=lambda t: t,
            times=lambda steps: edm_times(s.sigma_max, 0.0, s.sigma_min, steps),
            least=s.sigma_min,
            steps=STEPS,
            solver="heun",
            bounded=data.bounded,
        )
        self.passes = s.passes
        self.evaluations = s.passes * evaluations_of(self.path.solver, self.path.steps)
        self.nets = nn.ModuleDict({"denoiser": self._field.net})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam."""
        return {"edm": self._field.adam(self.settings, "denoiser")}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        phase = Phase(name="denoise", loss=self.loss, updates=("edm",))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The weighted squared error of the denoised samples, per value."""
        return {"edm": {"denoised": self._error(batch)}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss on the test split, at random levels."""
        return {"loss": self._error(batch)}

    def _error(self, batch: Batch) -> Tensor:
        x, s = batch.x, self.settings
        normal = torch.randn(len(x), device=x.device)
        sigma = (s.log_sigma_mean + s.log_sigma_std * normal).exp()
        noisy = x + beside(sigma, x) * torch.randn_like(x)
        found = self._denoised(self._field.trained, noisy, sigma, batch.y)
        c = preconditioning(beside(sigma, x), s.sigma_data or 1.0)
        return ((found - x) / c.out).square().mean()

    def _denoised(
        self,
        network: Callable[[Tensor, Tensor, Tensor | None], Tensor],
        x: Tensor,
        sigma: Tensor,
        y: Tensor | None,
    ) -> Tensor:
        c = preconditioning(beside(sigma, x), self.settings.sigma_data or 1.0)
        return c.skip * x + c.out * network(c.into * x, sigma.log() / 4, y)  # at c_noise

    # --- what it can do

    def denoise(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """D(x; t), the expected sample given x, for noise levels t (B,) > 0."""
        return self._denoised(self._field.drawn, x, t, y)

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """(x - D(x; t)) / t (eq. 3 with sigma(t) = t)."""
        return (x - self.denoise(x, t, y)) / beside(t, x)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """N(0, I), (n, *shape); sampling starts at sigma_max times this noise."""
        return draw_prior(self.nets, (n, *self._shape), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The sample that deterministic sampling carries z to."""
        return flow_map(self.path, lambda x, t: self.velocity(x, t, y), z)


class Preconditioning(NamedTuple):
    """The factors of table 1, each of the shape of the levels."""

    skip: Tensor
    out: Tensor
    into: Tensor


def preconditioning(sigma: Tensor, data: float) -> Preconditioning:
    """c_skip, c_out and c_in at noise levels, for data of the standard deviation ``data``."""
    total = (sigma.square() + data**2).sqrt()
    return Preconditioning(skip=(data / total).square(), out=sigma * data / total, into=1 / total)
