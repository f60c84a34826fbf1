"""Draws from priors: seeded on the CPU for evaluation, on the device for training."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Prior = Literal["normal", "uniform"]


def draw_prior(
    nets: nn.Module,
    shape: tuple[int, ...],
    generator: torch.Generator | None = None,
    prior: Prior = "normal",
) -> Tensor:
    """N(0, I) or U(-1, 1) in each dimension, on the device of ``nets``.

    With a (CPU) generator it is drawn on the CPU, so that a seed gives the same noise everywhere.
    """
    device = next(nets.parameters()).device
    where = device if generator is None else torch.device("cpu")
    if prior == "uniform":
        noise = torch.rand(shape, generator=generator, device=where).mul_(2).sub_(1)
    else:
        noise = torch.randn(shape, generator=generator, device=where)
    return noise if where is device else noise.to(device)
