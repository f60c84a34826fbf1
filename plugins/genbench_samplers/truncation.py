"""The truncation trick (Brock et al. 2019, arXiv:1809.11096): latents within a threshold only.

Components of z outside [-t, t] are drawn again until they lie within. We draw them from the cut-off
law at once, by its inverse distribution function, which is the same law without a loop. For a
uniform prior that law is U(-t, t). It trades variety for typical samples, and is exact for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered
from genbench_samplers.latents import law_of_prior
from genbench_samplers.sampling_cost import SamplingCost
from genbench_samplers.settings import TruncationSettings
from genbench_samplers.streams import asked_labels

if TYPE_CHECKING:
    from torch import Tensor


class Truncation:
    """Plain sampling from the prior within [-t, t] in each dimension."""

    requires = ("generates",)

    def __init__(self, settings: TruncationSettings) -> None:
        self.settings = settings
        self._cost = SamplingCost(torch.device("cpu"))

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in all, (b, *shape)."""
        cost = self._cost = SamplingCost(context.device)
        with cost.setup():
            cost.time_plain(model, n, context)
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            with cost.drawing(), torch.no_grad():
                z = self._truncated(model, size, context)
                x: Tensor = rendered(model, model.generate(z, asked_labels(context, start, size)))
            cost.samples += size
            yield x

    def diagnostics(self) -> Mapping[str, float]:
        """Figures of the last draw; proposals and acceptance are of the components of z."""
        return self._cost.figures()

    def exactness(self) -> str:
        """What the trick gives up."""
        return f"a prior cut at {self.settings.threshold:g}: not what the model was trained for"

    def _truncated(self, model: Any, size: int, context: SampleContext) -> Tensor:
        z: Tensor = model.prior(size, context.generator)
        cut = self.settings.threshold
        outside = z.abs() > cut
        drawn = torch.rand(z.shape, generator=context.generator, dtype=torch.float64) * 2 - 1
        if law_of_prior(model, "truncation") == "normal":
            within = math.sqrt(2) * torch.erfinv(math.erf(cut / math.sqrt(2)) * drawn)
        else:
            within = cut * drawn
        self._cost.count(z.numel(), z.numel() - int(outside.sum()))
        return torch.where(outside, within.clamp(-cut, cut).to(z.dtype).to(z.device), z)
