"""Stochastic sampling: DDPM's ancestral sampling, and DDIM, along the path of any denoiser.

In each step the model estimates the sample from the noisy x; a less noisy x is then drawn from its
distribution given that estimate (Ho et al. 2020, arXiv:2006.11239, algorithm 2). ``eta``
scales the new noise; without any this is DDIM (Song et al. 2021, arXiv:2010.02502, eq. 12 and 16).
With fewer steps than the model was trained at, the law is that of a coarser chain with the same
marginals, as in DDIM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered
from genbench_flow.sampler_settings import SDESettings
from genbench_flow.solvers import ancestral, minibatches, times_of

if TYPE_CHECKING:
    from torch import Tensor


class SDE:
    """Each step removes noise and adds less. ``nfe`` counts the evaluations of a sample."""

    requires = ("denoises", "generates")

    def __init__(self, settings: SDESettings) -> None:
        self.settings = settings
        self._nfe = 0

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples, ``n`` in total, (b, *shape) as rendered."""
        s = self.settings
        times = times_of(model.path, s.steps, s.schedule, s.rho)
        self._nfe = s.steps * getattr(model, "passes", 1)
        for z, y in minibatches(model, n, context):
            with torch.no_grad():
                h = ancestral(model, z, y, times, s.eta, context.generator)
                x: Tensor = rendered(model, h)
            yield x

    def exactness(self) -> str:
        """Samples differ from the model's own only because the steps are finite."""
        return "exact for the model in the limit of many steps"

    def diagnostics(self) -> Mapping[str, float]:
        """The number of function evaluations of a sample."""
        return {"nfe": float(self._nfe)}
