"""A codebook: vectors are replaced by the nearest of K codes (van den Oord et al. 2017).

arXiv:1711.00937. The codes follow the vectors that chose them by moving averages (appendix A.1),
with gamma the decay, n_i the uses of code i in a step and z_ij the vectors that chose it,

    N_i <- gamma N_i + (1 - gamma) n_i,    m_i <- gamma m_i + (1 - gamma) sum_j z_ij,
    e_i <- m_i / N_i,

or, where they are ``learned``, by the gradient of eq. 3's second term.

We differ in two points. N_i is smoothed towards equal use, (N_i + eps) / (N + K eps) N with N their
sum, so that an unused code does not divide by zero. And a code with fewer averaged uses per step
than ``revive`` is replaced by a vector of the step (random restarts: Dhariwal et al. 2020,
arXiv:2005.00341, section 3.1), as all codes are at the first step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """``vectors`` (M, D): the codes chosen; ``indices`` (M,) int64: which they are."""

    vectors: Tensor
    indices: Tensor


class Codebook(nn.Module):
    """K codes of D values. In training mode it records what it quantised until `update`.

    ``counts`` are N_i and ``sums`` m_i; ``started`` is 0 before the first update. What was recorded
    in a step, over all its chunks, is in separate buffers, which are zero between steps: as with
    batch normalisation, only a pass in training mode changes them.
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor
    started: Tensor
    _uses: Tensor
    _totals: Tensor
    _candidates: Tensor

    SMOOTHING = 1e-5

    def __init__(
        self, size: int, dim: int, *, decay: float, revive: float, learned: bool = False
    ) -> None:
        super().__init__()
        self.decay, self.revive, self.learned = decay, revive, learned
        codes = torch.randn(size, dim)
        if learned:
            self.codes = nn.Parameter(codes)
        else:
            self.register_buffer("codes", codes)
        self.register_buffer("counts", torch.ones(size))
        self.register_buffer("sums", codes.clone())
        self.register_buffer("started", torch.zeros(()))
        for name, shape in {
            "_uses": (size,),
            "_totals": (size, dim),
            "_candidates": (size, dim),
        }.items():
            self.register_buffer(name, torch.zeros(shape), persistent=False)

    def forward(self, vectors: Tensor) -> Quantised:
        """Replace (M, D) by the nearest codes in squared distance; differentiable in the codes."""
        vectors = vectors.float()
        # Distances in bf16 would choose other codes.
        with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
            # |z|^2, the same for all codes, is left out.
            closeness = vectors @ self.codes.t() - 0.5 * self.codes.square().sum(1)
            indices = closeness.argmax(1)
            if self.training:
                self._record(vectors, indices)
        return Quantised(vectors=self.lookup(indices), indices=indices)

    def lookup(self, indices: Tensor) -> Tensor:
        """The codes of int64 indices (...), (..., D)."""
        return nn.functional.embedding(indices, self.codes)

    def _record(self, vectors: Tensor, indices: Tensor) -> None:
        self._uses.add_(uses(indices, len(self.codes)))
        self._totals.index_add_(0, indices, vectors)
        chosen = torch.randint(len(vectors), (len(self.codes),), device=vectors.device)
        self._candidates.copy_(vectors[chosen])

    @torch.no_grad()
    def update(self) -> None:
        """Update the codes by what was recorded since the last update, and reset it."""
        self.counts.lerp_(self._uses, 1 - self.decay)
        self.sums.lerp_(self._totals, 1 - self.decay)
        unused = (self.counts < self.revive) | (self.started == 0)
        self.counts.masked_fill_(unused, 1.0)
        self.sums.copy_(torch.where(unused[:, None], self._candidates, self.sums))
        moved = self.codes if self.learned else self.sums / self._smoothed()[:, None]
        self.codes.copy_(torch.where(unused[:, None], self._candidates, moved))
        self.started.fill_(1.0)
        self._uses.zero_()
        self._totals.zero_()

    def _smoothed(self) -> Tensor:
        total = self.counts.sum()
        share = (self.counts + self.SMOOTHING) / (total + len(self.counts) * self.SMOOTHING)
        return share * total


def uses(indices: Tensor, size: int) -> Tensor:
    """How often each of ``size`` codes occurs in int64 indices (M,): float32 (size,).

    `torch.bincount` would make a GPU wait for the host.
    """
    ones = torch.ones(indices.shape, device=indices.device)
    return torch.zeros(size, device=indices.device).index_add_(0, indices, ones)


def perplexity(indices: Tensor, size: int) -> Tensor:
    """exp of the entropy of the codes' shares among indices, 0-dim; ``size`` for equal use."""
    share = uses(indices.flatten(), size) / indices.numel()
    return torch.exp(torch.special.entr(share).sum())
