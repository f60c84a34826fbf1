"""elbo: the evidence lower bound of test samples, and its two parts.

log p(x) >= E_q log p(x|z) - KL[q(z|x) || p(z)] (Kingma and Welling 2013, arXiv:1312.6114, eq. 3),
with the expectation from draws of q, and the divergence in closed form (appendix B).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genbench import MetricContext, Score
from genbench_metrics.held_out import (
    check_likelihood,
    check_spread,
    likelihood_protocol,
    posteriors,
)
from genbench_metrics.likelihood_settings import ElboSettings
from genbench_metrics.metric import ModelMetric


class Elbo(ModelMetric[ElboSettings]):
    """Three scores in nats per sample: ``elbo`` = ``elbo_reconstruction`` - ``elbo_kl``.

    Higher is better for the bound and its first part. The divergence is the information in the
    latents: a lower one is a shorter code, and 0 means that the decoder ignores them.
    """

    requires = ("encodes", "generates", "has-likelihood")
    defaults = ElboSettings

    def begin(self, context: MetricContext) -> None:
        """Keep the context; raises UsageError if the model has no likelihood for the data."""
        check_likelihood("elbo", context)
        self._context = context

    def result(self) -> Sequence[Score]:
        """The bound and its parts, as means over the test samples."""
        n = min(self._settings.n, len(self._context.data.test.x))
        reconstruction, kl = self._parts(n)
        bound = reconstruction - kl
        parts = {"elbo": bound, "elbo_reconstruction": reconstruction, "elbo_kl": kl}
        return [self._score(name, values) for name, values in parts.items()]

    def _parts(self, n: int) -> tuple[Tensor, Tensor]:
        """E_q log p(x|z) and the KL divergence of each sample, float64 (n,) on the CPU."""
        context, draws = self._context, self._settings.samples
        generator = torch.Generator(context.device).manual_seed(context.seed)
        size = max(1, context.batch_size // draws)
        reconstructions, divergences = [], []
        for posterior in posteriors(context, n, size):
            check_spread("elbo", posterior)
            mean, logvar = posterior.mean, posterior.logvar
            shape = (len(mean), draws, mean.shape[1])
            noise = torch.randn(shape, generator=generator, device=mean.device)
            z = torch.addcmul(mean[:, None], torch.exp(0.5 * logvar)[:, None], noise)
            found = posterior.log_likelihood(context.model, z.flatten(0, 1), copies=draws)
            reconstructions.append(found.view(len(mean), draws).cpu().double().mean(1))
            divergences.append(divergence(mean.cpu().double(), logvar.cpu().double()))
        return torch.cat(reconstructions), torch.cat(divergences)

    def _score(self, name: str, values: Tensor) -> Score:
        n = len(values)
        return Score(
            metric=name,
            value=float(values.mean()),
            n=n,
            direction="min" if name == "elbo_kl" else "max",
            unit="nats",
            protocol={
                "samples": self._settings.samples,
                **likelihood_protocol(self._context, n),
                "implementation": "genbench-elbo-1",
            },
            note=f"standard error over samples {float(values.std()) / math.sqrt(n):.2g} nats",
        )


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL[N(mean, exp(logvar)) || N(0, I)] in nats, (b,)."""
    return 0.5 * (mean.square() + logvar.expm1() - logvar).sum(1)
