"""The truncation trick (Brock et al. 2019, arXiv:1809.11096): only latents within a threshold.

In the paper, components of z outside [-t, t] are drawn again until they are inside. We draw them
from the truncated distribution directly, by its inverse distribution function, which is equivalent.
For a uniform prior, that distribution is U(-t, t). Truncation trades variety for typical samples,
and is not exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered
from genbench_samplers.latent_prior import law_of_prior
from genbench_samplers.proposals import asked_labels
from genbench_samplers.sampler_settings import TruncationSettings
from genbench_samplers.sampling_cost import CostedSampler, SamplingCost

if TYPE_CHECKING:
    from torch import Tensor


class Truncation(CostedSampler[TruncationSettings]):
    """Plain sampling from the prior within [-t, t] in each dimension.

    The diagnostics count components of z, those outside as rejected.
    """

    requires = ("generates",)

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in total, (b, *shape)."""
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

    def exactness(self) -> str:
        """Whether the draws are exact."""
        return f"not exact: the prior is truncated at {self.settings.threshold:g}"

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
