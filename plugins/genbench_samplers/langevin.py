"""Langevin chains on any energy: steps, their acceptance test, and tuning of the step size.

Coordinates u are (B, ...), one row per chain; an energy returns a `ChainState`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

FIRST = 0.05
"""The initial eps of the tuning."""
LEAST, MOST = 1e-8, 1e2
"""Bounds on the tuned eps."""
GAMMA, T0, KAPPA = 0.05, 10, 0.75
"""Constants of dual averaging, as in section 3.2 of its source."""


class ChainState(NamedTuple):
    """The state of chains: u (B, ...), energy (B,), gradient (B, ...) and logit (B,)."""

    u: Tensor
    energy: Tensor
    gradient: Tensor
    logit: Tensor


Energy = Callable[[Tensor], ChainState]


def step(
    energy: Energy, at: ChainState, eps: float, generator: torch.Generator
) -> tuple[ChainState, Tensor]:
    """Propose u - (eps/2) grad E + sqrt(eps) n; return it and its log acceptance ratio (B,).

    The ratio is that of the Metropolis-Hastings test (MALA, Roberts and Tweedie 1996): values above
    0 are always accepted, and the value is -inf for a proposal that is not finite.
    """
    noise = torch.randn(at.u.shape, generator=generator).to(at.u)
    proposed = energy(at.u - eps / 2 * at.gradient + eps**0.5 * noise)
    back = at.u - proposed.u + eps / 2 * proposed.gradient
    forward = noise.square().flatten(1).sum(1) / 2
    chance = at.energy - proposed.energy + forward - back.square().flatten(1).sum(1) / (2 * eps)
    return proposed, chance.nan_to_num(nan=-torch.inf)


def accept(
    at: ChainState, proposed: ChainState, chance: Tensor, generator: torch.Generator
) -> tuple[ChainState, Tensor]:
    """The state of the chains after the test of a step, and which (B,) of them moved."""
    drawn = torch.rand(len(chance), generator=generator).log().to(chance)
    moved = drawn < chance
    wide = moved.view(-1, *(1 for _ in at.u.shape[1:]))
    after = ChainState(
        u=torch.where(wide, proposed.u, at.u),
        energy=torch.where(moved, proposed.energy, at.energy),
        gradient=torch.where(wide, proposed.gradient, at.gradient),
        logit=torch.where(moved, proposed.logit, at.logit),
    )
    return after, moved


def acceptance(chance: Tensor) -> float:
    """The mean acceptance probability, from log acceptance ratios (B,)."""
    return float(chance.clamp(max=0).exp().mean())


def tuned_eps(
    energy: Energy, at: ChainState, *, target: float, steps: int, generator: torch.Generator
) -> float:
    """The eps with mean acceptance probability ``target``, for chains from ``at``.

    Uses dual averaging of log eps over ``steps`` steps (Hoffman and Gelman 2014, arXiv:1111.4246,
    section 3.2.1), with the mean acceptance over all chains. These chains are discarded: for exact
    samples, eps must be constant.
    """
    low, high = math.log(LEAST), math.log(MOST)
    present = centre = math.log(FIRST)
    shortfall = average = 0.0
    for count in range(1, steps + 1):
        proposed, chance = step(energy, at, math.exp(present), generator)
        at, _ = accept(at, proposed, chance, generator)
        shortfall += (target - acceptance(chance) - shortfall) / (count + T0)
        present = min(max(centre - count**0.5 / GAMMA * shortfall, low), high)
        weight = count**-KAPPA
        average = weight * present + (1 - weight) * average
    return math.exp(average)


def tested_acceptance(
    energy: Energy, at: ChainState, *, eps: float, steps: int, generator: torch.Generator
) -> float:
    """The mean acceptance of MALA with ``eps``, for chains from ``at``.

    The chains only take accepted steps, so that they stay in the target distribution.
    """
    total = 0.0
    for _ in range(steps):
        proposed, chance = step(energy, at, eps, generator)
        at, _ = accept(at, proposed, chance, generator)
        total += acceptance(chance)
    return total / steps
