"""The Metropolis-Hastings GAN (Turner et al. 2019, arXiv:1811.11357, Algorithm 1).

A chain gets K generated samples as proposals, one after the other, and moves to each with
probability

    alpha = min(1, (1/D - 1) / (1/D' - 1)) = min(1, exp(d' - d)),

with D the calibrated discriminator at the current sample, D' at the proposed one, and d and d'
their logits. In the limit of large K, its last sample follows p_model exp(d), which is the data
distribution if D is exact. As in the paper, a chain starts with the score of a real sample; if it
never moves, it starts again from a generated sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from genbench import SampleContext, rendered
from genbench_samplers.judge import Judge, prepare_judge
from genbench_samplers.proposals import asked_labels, propose
from genbench_samplers.sampler_settings import MHSettings
from genbench_samplers.sampling_cost import CostedSampler, SamplingCost

if TYPE_CHECKING:
    from torch import Tensor


class MH(CostedSampler[MHSettings]):
    """One chain per sample, in minibatches of chains.

    The diagnostic ``restarted`` is the share of chains that never moved.
    """

    requires = ("generates", "discriminates")

    def draw(self, model: Any, n: int, context: SampleContext) -> Iterator[Tensor]:
        """Yield minibatches of samples in [-1, 1], ``n`` in total, (b, *shape)."""
        cost = self._cost = SamplingCost(context.device)
        with cost.setup():
            cost.time_plain(model, n, context)
            judge = prepare_judge(model, self.settings, context)
            cost.notes |= judge.figures
        restarted = 0
        for start in range(0, n, context.batch_size):
            size = min(context.batch_size, n - start)
            with cost.drawing(), torch.no_grad():
                h, again = self._chains(model, judge, size, start, context)
                x: Tensor = rendered(model, h)
            restarted += again
            cost.samples += size
            cost.notes["restarted"] = restarted / cost.samples
            yield x

    def exactness(self) -> str:
        """Whether the last sample of a chain is exact."""
        return "exact in the limit of many steps, if the discriminator is"

    def _chains(
        self, model: Any, judge: Judge, size: int, start: int, context: SampleContext
    ) -> tuple[Tensor, int]:
        """The last samples ``h`` of ``size`` chains, and the number of restarted chains."""
        y = asked_labels(context, start, size)
        real = judge.real_logits(size, y, context.generator)
        if real is None:
            return self._from_generated(model, judge, size, y, context), 0
        h, moved = self._walk(model, judge, real, y, context)
        stuck = (~moved).nonzero().squeeze(1)
        if len(stuck):
            rows = stuck.to(h.device)
            own = None if y is None else y[rows]
            h[rows] = self._from_generated(model, judge, len(stuck), own, context)
        return h, len(stuck)

    def _from_generated(
        self, model: Any, judge: Judge, size: int, y: Tensor | None, context: SampleContext
    ) -> Tensor:
        first = propose(model, size, y, context)
        h, moved = self._walk(model, judge, judge.logits(first, y), y, context)
        stayed = (~moved).to(h.device)
        h[stayed] = first[stayed]
        return h

    def _walk(
        self, model: Any, judge: Judge, logits: Tensor, y: Tensor | None, context: SampleContext
    ) -> tuple[Tensor, Tensor]:
        """K steps from ``logits`` (B,): samples (B, ...), and which chains (B,) have moved.

        With few chains, the proposals of several steps are generated in one minibatch, since they
        don't depend on the chain.
        """
        size, left = len(logits), self.settings.steps
        moved = torch.zeros(size, dtype=torch.bool)
        h: Tensor | None = None
        while left:
            block = min(left, max(1, context.batch_size // size))
            labels = None if y is None else y.repeat(block)
            proposals = propose(model, block * size, labels, context)
            proposed = judge.logits(proposals, labels).view(block, size)
            logits, last, accepted = _accept(logits, proposed, context.generator)
            self._cost.count(block * size, accepted)
            went = last >= 0
            moved |= went
            if h is None:
                h = torch.empty_like(proposals[:size])
            h[went.to(h.device)] = proposals[last[went].to(h.device)]
            left -= block
        assert h is not None  # steps >= 1
        return h, moved


def _accept(
    logits: Tensor, proposed: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, int]:
    """K steps with proposed logits (K, B): last logits, index of the last move, number of moves.

    The index is that in the flattened proposals, and -1 for a chain that didn't move.
    """
    steps, size = proposed.shape
    chance = torch.rand(steps, size, generator=generator, dtype=torch.float64).log()
    last = torch.full((size,), -1)
    columns = torch.arange(size)
    accepted = 0
    for step in range(steps):
        move = chance[step] < proposed[step] - logits
        logits = torch.where(move, proposed[step], logits)
        last = torch.where(move, columns + step * size, last)
        accepted += int(move.sum())
    return logits, last, accepted
