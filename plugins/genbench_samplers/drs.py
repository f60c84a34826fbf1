"""Discriminator rejection sampling (Azadi et al. 2019, arXiv:1810.06758, Algorithm 1).

With the logit d(h) = log p_data(h) - log p_model(h) and its maximum M, a generated sample is
accepted with probability sigmoid(F),

    F = d - M - log(1 - exp(d - M - eps)) - gamma.

gamma = 0 is rejection sampling: sigmoid(F) = exp(d - M), and accepted samples follow
p_model exp(d), the data distribution if d and M are exact. A larger gamma rejects more
samples, poor ones most: it sharpens the distribution and is not exact. A smaller (negative) gamma
accepts more. M is the maximum over a burn-in and increases with later samples; if gamma is set by a
percentile, it changes with M. We differ in that the percentile is over the burn-in, not over each
minibatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, SamplingError, rendered
from genbench_samplers.judge import Judge, prepare_judge
from genbench_samplers.proposals import propose
from genbench_samplers.sampler_settings import DRSSettings
from genbench_samplers.sampling_cost import CostedSampler, SamplingCost
from genbench_samplers.slots import Slots

if TYPE_CHECKING:
    from torch import Tensor


class DRS(CostedSampler[DRSSettings]):
    """Draws plain samples and accepts each with a probability that depends on its logit.

    The diagnostics ``log_M`` and ``gamma`` are those at the end of the draw.
    """

    requires = ("generates", "discriminates")

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in total, (b, *shape).

        Raises SamplingError after ``max_proposals`` times n proposals, once it has yielded what was
        accepted.
        """
        cost = self._cost = SamplingCost(context.device)
        with cost.setup():
            cost.time_plain(model, n, context)
            judge = prepare_judge(model, self.settings, context)
            cost.notes |= judge.figures
            envelope = self._burn_in(model, judge, context)
        slots = Slots(n, context.labels)
        while slots.open:
            if cost.proposals >= self.settings.max_proposals * n:
                yield from self._give_up(model, slots)
            with cost.drawing():
                self._fill(model, judge, envelope, slots, context)
                batches = [_rendered(model, h) for h in slots.ready(context.batch_size)]
            for x in batches:
                cost.samples += len(x)
                yield x

    def exactness(self) -> str:
        """Whether the draws are exact with these settings."""
        s = self.settings
        if s.percentile is not None:
            return (
                f"not exact: gamma at the {s.percentile:g}th percentile trades exactness for "
                "acceptance, and sharpens the distribution"
            )
        if s.gamma:
            return f"not exact with gamma={s.gamma:g}; gamma=0 is"
        return "exact if the discriminator is, and if its maximum was found"

    def _burn_in(self, model: Any, judge: Judge, context: SampleContext) -> _Envelope:
        logits, labels = [], context.labels
        for start in range(0, self.settings.burn_in, context.batch_size):
            size = min(context.batch_size, self.settings.burn_in - start)
            y = None
            if labels is not None:
                y = labels[torch.arange(start, start + size) % len(labels)].to(context.device)
            logits.append(judge.logits(propose(model, size, y, context), y))
        return _Envelope(torch.cat(logits), self.settings)

    def _fill(
        self, model: Any, judge: Judge, envelope: _Envelope, slots: Slots, context: SampleContext
    ) -> None:
        """Fill open slots from one minibatch of proposals, with as many as seem necessary."""
        cost = self._cost
        budget = self.settings.max_proposals * slots.n - cost.proposals
        size = min(context.batch_size, budget, envelope.proposals_for(slots.open))
        labels = slots.wanted(size)
        h = propose(model, size, None if labels is None else labels.to(context.device), context)
        y = None if labels is None else labels.to(h.device)
        chance = envelope.acceptance(judge.logits(h, y))
        kept = torch.rand(size, generator=context.generator, dtype=torch.float64) < chance
        cost.count(size, int(kept.sum()))
        cost.notes |= {"log_M": envelope.top, "gamma": envelope.gamma}
        slots.put(h[kept.to(h.device)], None if labels is None else labels[kept])

    def _give_up(self, model: Any, slots: Slots) -> Iterator[Tensor]:
        """Yield the samples accepted so far, then raise SamplingError."""
        cost = self._cost
        places, h = slots.rest()
        if h is not None:
            x = _rendered(model, h)
            cost.samples += len(x)
            yield x
        raise SamplingError(
            f"drs accepted {cost.accepted:,} of {cost.proposals:,} proposals for {slots.n:,} "
            f"samples and reached its limit; trade exactness for acceptance with "
            f"--set sampler.drs.percentile=80, or allow more with --set sampler.drs.max_proposals="
            f"{10 * self.settings.max_proposals}",
            places=places,
        )


class _Envelope:
    """The running maximum M, and gamma."""

    def __init__(self, logits: Tensor, settings: DRSSettings) -> None:
        self.top = float(logits.max())
        self._eps, self._gamma = settings.eps, settings.gamma or 0.0
        # F increases with d, so its percentile is F at the percentile of d, for any M.
        self._pivot: Tensor | None = None
        if settings.percentile is not None:
            self._pivot = torch.quantile(logits, settings.percentile / 100)
        self._expected = max(float(self.acceptance(logits).mean()), 1e-9)

    @property
    def gamma(self) -> float:
        """The constant that is subtracted from F."""
        return self._gamma if self._pivot is None else float(self._f(self._pivot))

    def acceptance(self, logits: Tensor) -> Tensor:
        """The acceptance probability (B,) of each proposal, after they have updated M."""
        self.top = max(self.top, float(logits.max()))
        return torch.sigmoid(self._f(logits) - self.gamma)

    def proposals_for(self, samples: int) -> int:
        """The expected number of proposals for ``samples`` samples, with a margin."""
        return 8 + int(1.2 * samples / self._expected)

    def _f(self, logits: Tensor) -> Tensor:
        """F without gamma; -expm1 is more precise than 1 - exp at the maximum."""
        below = logits - self.top
        return below - torch.log(-torch.expm1(below - self._eps))


def _rendered(model: Any, h: Tensor) -> Tensor:
    with torch.no_grad():
        x: Tensor = rendered(model, h)
    return x
