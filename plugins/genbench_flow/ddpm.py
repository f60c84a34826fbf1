"""DDPM, denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239).

The data are noised in T levels, x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps with eps ~ N(0, I),
where abar_t is the product of 1 - beta_s over s <= t, and beta rises linearly (section 4). The
network learns the noise (eq. 14, L_simple):

    L = E | eps - eps(x_t, t) |^2,    t ~ U{1, ..., T}.

With ``target=velocity`` the network learns v = sqrt(abar_t) eps - sqrt(1 - abar_t) x_0 (Salimans
and Ho 2022, arXiv:2202.00512, section 4), and eps = sqrt(abar_t) v + sqrt(1 - abar_t) x_t. An error
of eps at a high level is multiplied by sqrt(1 / abar_t - 1), up to 157, in the sample, so that eps
has to be learned there more accurately than its loss asks for in a short run. An error of v is not.

For the samplers that all models of this package share, x_t is divided by sqrt(abar_t). The result
is the sample plus noise of the level s = sqrt((1 - abar_t) / abar_t), and s is the time of the
`path`: it falls from 157 to 0. Along this path the velocity dx/ds is the noise eps itself, so one
step of Euler is one of DDIM (Song et al. 2021, arXiv:2010.02502, eq. 14), and the sampler `sde`
with eta = 1 and T steps is algorithm 2. Levels between those of the training are interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, NoisePath, Optimizer, Phase, Stage, Terms
from genbench_flow.flow_settings import DDPMSettings
from genbench_flow.networks import Field, beside
from genbench_flow.solvers import evaluations_of, flow_map
from genbench_nets.prior_noise import draw_prior

STEPS = 20
"""Steps of DDIM, for samples without new noise; its paper shows 10, 20, 50 and 100."""


class DDPM:
    """Predicts the noise, (x, level) -> eps; the time is the ratio of noise to signal."""

    averaged = ("noise",)

    def __init__(self, settings: DDPMSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings.fitted(data)
        self._shape, self._field = data.shape, Field(s, data)
        if s.conditional:
            self.classes = self._field.classes
        self._levels = Levels(s.levels, s.beta_first, s.beta_last)
        self.path = self._levels.path(bounded=data.bounded)
        self.passes = s.passes
        self.evaluations = s.passes * evaluations_of(self.path.solver, self.path.steps)
        self.nets = nn.ModuleDict({"noise": self._field.net, "levels": self._levels})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam."""
        return {"ddpm": self._field.adam(self.settings, "noise")}

    def stages(self) -> tuple[Stage, ...]:
        """One stage of one phase."""
        phase = Phase(name="noise", loss=self.loss, updates=("ddpm",))
        return (Stage(name="train", phases=(phase,), validate=self.validate),)

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The mean squared error of the target, per value."""
        return {"ddpm": {"noise": self._error(batch)}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss on the test split, at random levels."""
        return {"loss": self._error(batch)}

    def _error(self, batch: Batch) -> Tensor:
        x, s = batch.x, self.settings
        level = torch.randint(s.levels, (len(x),), device=x.device)  # 0 is the first level
        kept = beside(self._levels.kept[level], x)
        eps = torch.randn_like(x)
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * eps
        found = self._field.trained(noisy, (level + 1) / s.levels, batch.y)
        target = eps if s.target == "noise" else kept.sqrt() * eps - (1 - kept).sqrt() * x
        return (found - target).square().mean()

    # --- what it can do

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The noise eps in x = sample + t eps, for x (B, *shape) and t (B,) > 0."""
        signal = beside((1 + t.square()).rsqrt(), x)  # sqrt(abar)
        found = self._field.drawn(signal * x, self._levels.at(t) / self.settings.levels, y)
        if self.settings.target == "noise":
            return found
        return signal * (found + beside(t, x) * signal * x)

    def denoise(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x - t eps: x without the noise that the network predicts."""
        return x - beside(t, x) * self.velocity(x, t, y)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """x_T ~ N(0, I), (n, *shape)."""
        return draw_prior(self.nets, (n, *self._shape), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The sample that DDIM without randomness carries z to."""
        return flow_map(self.path, lambda x, t: self.velocity(x, t, y), z)


class Levels(nn.Module):
    """The levels 1 to T: ``kept`` is abar (T,), ``log_ratio`` log sqrt((1 - abar) / abar)."""

    kept: Tensor
    log_ratio: Tensor

    def __init__(self, count: int, first: float, last: float) -> None:
        super().__init__()
        betas = [first + (last - first) * i / (count - 1) for i in range(count)]
        logs = [0.0]
        for beta in betas:
            logs.append(logs[-1] + math.log1p(-beta))
        # expm1: at the first levels 1 - abar would lose digits.
        self._ratios = [math.sqrt(math.expm1(-log)) for log in logs]
        kept = torch.tensor(logs[1:], dtype=torch.float64).exp()
        self.register_buffer("kept", kept.float(), persistent=False)
        ratios = torch.tensor(self._ratios[1:], dtype=torch.float64)
        self.register_buffer("log_ratio", ratios.log().float(), persistent=False)

    def at(self, ratio: Tensor) -> Tensor:
        """The level (B,), 1 to T and between, of a ratio (B,) of noise to signal."""
        log = ratio.log()
        # What searchsorted gives, in operations that ONNX has.
        above = (self.log_ratio < log[:, None]).sum(1).clamp(1, len(self.log_ratio) - 1)
        low, high = self.log_ratio[above - 1], self.log_ratio[above]
        return above + ((log - low) / (high - low)).clamp(0, 1)

    def ratio(self, level: float) -> float:
        """The ratio at a level from 0 (no noise) to T; between two, its logarithm is linear."""
        below = min(int(level), len(self._ratios) - 2)
        low, high, part = self._ratios[below], self._ratios[below + 1], level - below
        if below == 0:
            return high * part  # the logarithm of level 0 is infinite
        return float(low ** (1 - part) * high**part)

    def path(self, *, bounded: bool) -> NoisePath:
        """A sample plus noise that falls to 0; the default times are evenly spaced levels."""
        count = len(self._ratios) - 1
        return NoisePath(
            start=self._ratios[-1],
            end=0.0,
            signal=lambda t: 1.0,
            noise=lambda t: t,
            times=lambda n: [self.ratio(count * (n - i) / n) for i in range(n + 1)],
            least=self._ratios[1],
            steps=STEPS,
            solver="euler",
            bounded=bounded,
        )
