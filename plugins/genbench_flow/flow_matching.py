"""Flow matching along straight lines, also known as rectified flow.

A sample x_1 of the data and noise x_0 ~ N(0, I) are joined by x_t = (1 - t) x_0 + t x_1. The
network learns the velocity of these lines,

    L = E | v(x_t, t) - (x_1 - x_0) |^2,    t ~ U(0, 1),

(Lipman et al. 2023, arXiv:2210.02747, eq. 23 with sigma_min = 0; Liu et al. 2023, arXiv:2209.03003,
eq. 1). At its minimum v is the mean direction of all lines through a point, and dx/dt = v(x, t)
carries the distribution of x_0 at t = 0 to that of x_1 at t = 1. Sampling integrates it.

Options: t may follow a logit-normal law (Esser et al. 2024, arXiv:2403.03206, section 3.1). Noise
and samples of a batch may be paired by optimal transport (Tong et al. 2024, arXiv:2302.00482,
section 3.2.3; Pooladian et al. 2023, arXiv:2304.14772), which makes the lines cross less.
``reflow`` trains a second stage on pairs of noise and the sample that the first stage's flow
carries it to (Liu et al. 2023, algorithm 1). Their lines hardly cross, so that a few steps suffice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genbench import Batch, DataSpec, NoisePath, Optimizer, Phase, Stage, Terms
from genbench_flow.flow_settings import FlowMatchingSettings
from genbench_flow.networks import Field, beside
from genbench_flow.solvers import evaluations_of, flow_map
from genbench_nets.prior_noise import draw_prior

PATH = NoisePath(
    start=0.0,
    end=1.0,
    signal=lambda t: t,
    noise=lambda t: 1.0 - t,
    times=lambda steps: [i / steps for i in range(steps + 1)],
    least=0.002,
    steps=10,
    solver="heun",
)


class FlowMatching:
    """The velocity (x, t) -> dx/dt; t rises from noise to data."""

    averaged = ("velocity",)

    def __init__(self, settings: FlowMatchingSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = s = settings.fitted(data)
        self._shape, self._field = data.shape, Field(s, data)
        if s.conditional:
            self.classes = self._field.classes
        self.path = replace(PATH, bounded=data.bounded)
        self.passes = s.passes
        self.evaluations = s.passes * evaluations_of(self.path.solver, self.path.steps)
        self.nets = nn.ModuleDict({"velocity": self._field.net})
        if s.reflow:
            self.nets["teacher"] = FrozenCopy(self.nets["velocity"])

    def optimizers(self) -> Mapping[str, Optimizer]:
        """One Adam."""
        return {"flow": self._field.adam(self.settings, "velocity")}

    def stages(self) -> tuple[Stage, ...]:
        """The flow; with reflow, then its training on the pairs that a copy of it makes."""
        phase = Phase(name="velocity", loss=self.loss, updates=("flow",))
        first = Stage(name="flow", phases=(phase,), validate=self.validate)
        if not self.settings.reflow:
            return (first,)
        again = Phase(name="velocity", loss=self.reflow_loss, updates=("flow",))
        return (
            first,
            Stage(name="reflow", phases=(again,), begin=self.keep_teacher, prepare=self.pairs),
        )

    # --- training

    def loss(self, batch: Batch) -> Terms:
        """The mean squared error of the velocity, per value."""
        noise = torch.randn_like(batch.x)
        if self.settings.pairing == "ot":
            noise = noise[optimal_pairing(noise, batch.x)]
        return {"flow": {"velocity": self._error(noise, batch.x, batch.y)}}

    def validate(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss on the test split, at random times, without optimal transport."""
        return {"loss": self._error(torch.randn_like(batch.x), batch.x, batch.y)}

    def _error(self, noise: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
        t = torch.rand(len(x), device=x.device)
        if self.settings.times == "logit-normal":
            t = torch.randn(len(x), device=x.device).sigmoid()
        at = beside(t, x)
        v = self._field.trained((1 - at) * noise + at * x, t, y)
        return (v - (x - noise)).square().mean()

    # --- reflow

    def keep_teacher(self, batches: Iterator[Batch]) -> None:
        """Copy the weights that the first stage ended with; no data is used."""
        del batches
        cast(FrozenCopy, self.nets["teacher"]).keep()

    def pairs(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Noise, and the sample that the first stage carries it to, for each x: (B, 2, *shape)."""
        z = self.prior(len(x), generator)
        return torch.stack((z, flow_map(self.path, self.nets["teacher"], z)), dim=1)

    def reflow_loss(self, batch: Batch) -> Terms:
        """The same loss on the prepared pairs."""
        noise, x = batch.x.unbind(1)
        return {"flow": {"velocity": self._error(noise, x, None)}}

    # --- what it can do

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """dx/dt at x (B, *shape) and t (B,); without a label, that of all classes together."""
        return self._field.drawn(x, t, y)

    def denoise(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """E[x_1 | x_t] = x_t + (1 - t) v: where the mean line through x_t ends."""
        return x + beside(1 - t, x) * self.velocity(x, t, y)

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """x_0 ~ N(0, I), (n, *shape)."""
        return draw_prior(self.nets, (n, *self._shape), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The sample that the flow carries z to, by the path's own solver and steps."""
        return flow_map(self.path, lambda x, t: self.velocity(x, t, y), z)


def optimal_pairing(noise: Tensor, x: Tensor) -> Tensor:
    """The order (B,) of the noise with the least sum of squared distances to the rows of x.

    The assignment is solved on the CPU, for which a GPU waits in each step; only the order returns.
    Such a step can't be captured as a graph.
    """
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(x.flatten(1).float(), noise.flatten(1).float()).square()
    _, order = linear_sum_assignment(cost.cpu().numpy())
    return torch.from_numpy(order).to(x.device)


class FrozenCopy(nn.Module):
    """A network with the weights that another one had, kept as buffers."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self._like = (net,)  # in a tuple, so that its parameters don't belong to the copy
        for name, value in net.named_parameters():
            self.register_buffer(_flat(name), value.detach().clone())

    def keep(self) -> None:
        """Take the present weights of the other network."""
        with torch.no_grad():
            for name, value in self._like[0].named_parameters():
                self.get_buffer(_flat(name)).copy_(value)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The output of the other network with the kept weights."""
        names = (name for name, _ in self._like[0].named_parameters())
        kept = {name: self.get_buffer(_flat(name)) for name in names}
        out: Tensor = functional_call(self._like[0], kept, (x, t, labels))
        return out


def _flat(name: str) -> str:
    return name.replace(".", "/")
