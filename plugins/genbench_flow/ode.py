"""Deterministic sampling: integrate the velocity of a model from noise to a sample.

For a diffusion this is the probability-flow ODE (Song et al. 2021, arXiv:2011.13456; Karras et al.
2022, arXiv:2206.00364, algorithm 1 without churn), for flow matching the flow itself (Lipman et al.
2023, arXiv:2210.02747). One Euler step along the path of a diffusion is one step of DDIM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered
from genbench_flow.sampler_settings import ODESettings
from genbench_flow.solvers import evaluations_of, flow_map, minibatches, times_of

if TYPE_CHECKING:
    from torch import Tensor


class ODE:
    """The flow of noise z ~ N(0, I) along the model's path. ``nfe`` counts evaluations a sample."""

    requires = ("has-velocity", "generates")

    def __init__(self, settings: ODESettings) -> None:
        self.settings = settings
        self._nfe = 0

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples, ``n`` in total, (b, *shape) as rendered."""
        s, path = self.settings, model.path
        steps, solver = s.steps or path.steps, s.solver or path.solver
        times = times_of(path, steps, s.schedule, s.rho)
        self._nfe = evaluations_of(solver, steps) * getattr(model, "passes", 1)
        for z, y in minibatches(model, n, context):

            def velocity(x: Tensor, t: Tensor, y: Tensor | None = y) -> Tensor:
                v: Tensor = model.velocity(x, t, y)
                return v

            with torch.no_grad():
                x: Tensor = rendered(model, flow_map(path, velocity, z, times, solver))
            yield x

    def exactness(self) -> str:
        """Samples differ from the model's own only by the solver's error."""
        return "exact for the model's ODE in the limit of many steps"

    def diagnostics(self) -> Mapping[str, float]:
        """The number of function evaluations of a sample."""
        return {"nfe": float(self._nfe)}
