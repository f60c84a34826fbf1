"""nll: the negative log-likelihood of test samples, exact or as the IWAE bound.

It is exact for models with a density (`exact_density`), and a bound for models with an encoder and
a likelihood:

log p(x) >= E log (1/k) sum_i p(x, z_i) / q(z_i|x), z_i ~ q(z|x): eq. 8 of Burda, Grosse and
Salakhutdinov 2016, arXiv:1509.00519, who use k = 5,000. The bound increases with k and converges to
log p(x); if q is the exact posterior, it is exact for k = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genbench import HasDensity, MetricContext, Score, UsageError
from genbench_metrics.exact_density import exact_nll
from genbench_metrics.held_out import (
    Posterior,
    check_levels,
    check_likelihood,
    check_spread,
    likelihood_protocol,
    posteriors,
)
from genbench_metrics.likelihood_settings import NllSettings
from genbench_metrics.metric import ModelMetric

VALUES = {"cpu": 1_000_000}
"""Values of x that are decoded at once; on a CPU they should fit its caches."""
VALUES_ELSEWHERE = 40_000_000
FEWEST, MOST = 50, 50_000
"""Bounds on the number of latents that are decoded at once."""


class Nll(ModelMetric[NllSettings]):
    """The mean negative log-density of test samples or its bound, in nats; lower is better.

    Latents are drawn and decoded in chunks, so that memory doesn't grow with k; their weights are
    summed in float64. The noise depends on ``context.seed`` only.
    """

    requires = (
        "has-density|encodes",
        "has-density|generates",
        "has-density|has-likelihood",
    )
    defaults = NllSettings

    def begin(self, context: MetricContext) -> None:
        """Keep the context; raises UsageError without a likelihood for the data, or if quick."""
        if context.quick:
            raise UsageError("nll decodes k latents per image: too expensive between two epochs")
        if isinstance(context.model, HasDensity):
            check_levels(context)
        else:
            check_likelihood("nll", context)
        self._context = context

    def result(self) -> Sequence[Score]:
        """One score, ``nll``, with its standard errors in the note."""
        context, k = self._context, self._settings.k
        if isinstance(context.model, HasDensity):
            return [exact_nll(context, self._settings.n)]
        n = min(self._settings.n, len(context.data.test.x))
        generator = torch.Generator(context.device).manual_seed(context.seed)
        rows = rows_at_once(context)
        found = [
            weighted(context.model, posterior, k, rows, generator)
            for posterior in posteriors(context, n, max(1, rows // k))
        ]
        bound = torch.cat([one.bound for one in found])
        variance = torch.cat([one.variance for one in found])
        return [
            Score(
                metric="nll",
                value=float(-bound.mean()),
                n=n,
                direction="min",
                unit="nats",
                protocol={
                    "measure": "IWAE bound",
                    "k": k,
                    **likelihood_protocol(context, n),
                    "implementation": "genbench-nll-1",
                },
                note=f"Monte-Carlo standard error {float(variance.sum().sqrt()) / n:.2g} nats; "
                f"over samples {float(bound.std()) / math.sqrt(n):.2g}",
            )
        ]


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """The bound in nats and the variance of its estimate for each sample, float64 (b,), on the CPU.

    The variance is that of the log of a mean to first order; it is underestimated if few latents
    dominate the sum.
    """

    bound: Tensor
    variance: Tensor


def weighted(
    model: Any, posterior: Posterior, k: int, rows: int, generator: torch.Generator
) -> Weighted:
    """The importance-weighted bound of some samples with k latents each, ``rows`` at once."""
    check_spread("nll", posterior)
    count = len(posterior.x)
    at_once = max(1, min(k, rows // count))
    logsum = torch.full((count,), -math.inf, dtype=torch.float64)
    logsum_of_squares = logsum.clone()
    for start in range(0, k, at_once):
        weights = log_weights(model, posterior, min(at_once, k - start), generator)
        logsum = torch.logaddexp(logsum, weights.logsumexp(1))
        logsum_of_squares = torch.logaddexp(logsum_of_squares, (2 * weights).logsumexp(1))
    # sum w^2 / (sum w)^2 = (1 + c^2) / k, with c the coefficient of variation of a weight.
    share = torch.exp(logsum_of_squares - 2 * logsum)
    return Weighted(bound=logsum - math.log(k), variance=(share - 1 / k).clamp_min(0))


def log_weights(model: Any, posterior: Posterior, k: int, generator: torch.Generator) -> Tensor:
    """log p(x, z) - log q(z|x) for k draws of z per sample, float64 (b, k) on the CPU.

    The prior is N(0, I) and q is a diagonal Gaussian, so factors of 2 pi cancel.
    """
    mean, logvar = posterior.mean, posterior.logvar
    count, dim = mean.shape
    noise = torch.randn(count, k, dim, generator=generator, device=mean.device)
    z = torch.addcmul(mean[:, None], torch.exp(0.5 * logvar)[:, None], noise)
    against_posterior = 0.5 * (noise.square_().sum(2) + logvar.sum(1, keepdim=True))
    against_prior = -0.5 * z.square().sum(2)
    likelihood = posterior.log_likelihood(model, z.view(count * k, dim), copies=k)
    terms = (likelihood.view(count, k), against_prior, against_posterior)
    return torch.stack([term.cpu().double() for term in terms]).sum(0)


def rows_at_once(context: MetricContext) -> int:
    """Latents to decode at once; this and the noise depend on device and shape only."""
    values = VALUES.get(context.device.type, VALUES_ELSEWHERE)
    return min(max(values // math.prod(context.data.spec.shape), FEWEST), MOST)
