"""The prior of a model's latents, for samplers in latent space."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from genbench import SamplingError, prior_kind

_INSIDE = 1 - 2**-24
"""The largest single-precision number below 1, so that no latent is infinite."""


def law_of_prior(model: Any, sampler: str) -> Literal["normal", "uniform"]:
    """The prior: N(0, I) or U(-1, 1) in each dimension. Raises SamplingError for another one."""
    law = prior_kind(model)
    if law not in ("normal", "uniform"):
        raise SamplingError(
            f"sampler '{sampler}' needs a prior that is normal or uniform in each dimension; that "
            f"of '{type(model).__name__}' is '{law}'"
        )
    return law


def to_normal(z: Tensor, law: Literal["normal", "uniform"]) -> Tensor:
    """Map z from the prior to u ~ N(0, I)."""
    return z if law == "normal" else math.sqrt(2) * torch.erfinv(z.clamp(-_INSIDE, _INSIDE))


def from_normal(u: Tensor, law: Literal["normal", "uniform"]) -> Tensor:
    """Map u to z: u itself, or 2 Phi(u) - 1; differentiable."""
    return u if law == "normal" else torch.erf(u / math.sqrt(2))
