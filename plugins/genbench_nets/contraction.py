"""The contraction of an encoder: the squared Frobenius norm of the Jacobian of its code.

It is computed by gradients and is itself differentiated, so its phase needs ``compile=False``.
Under autocast the encoder runs in float32 for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SMALLEST = 1e-6
"""Smallest standard deviation of a dimension of the code over a batch, for ``relative``."""


def contraction(
    encode: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    directions: int | None = None,
    relative: bool = False,
) -> Tensor:
    """The mean over the batch of ||J||_F^2, J = d encode(x) / d x, 0-dim, float32.

    The penalty of Rifai et al. 2011 (ICML). Exact with ``directions`` None: one backward
    pass for each value of the code. Else an unbiased estimate by that many passes: E ||v J||^2 over
    random signs v for each sample (Hutchinson 1989). ``relative`` measures each value of the code
    in its own standard deviation over the batch, so that a smaller scale of
    the code does not count as contraction.
    """
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_(True)
        code = encode(x).flatten(1)
        unit = code.std(0, correction=0).clamp_min(SMALLEST) if relative and len(x) > 1 else None
        total = torch.zeros((), device=x.device)
        for vectors in _vectors(code, directions):
            along = vectors if unit is None else vectors / unit
            (rows,) = torch.autograd.grad(code, x, along, create_graph=True)
            total = total + rows.square().sum()
    return total / ((directions or 1) * len(x))


def _vectors(code: Tensor, directions: int | None) -> Iterator[Tensor]:
    """Weights of the rows of the Jacobian, (B, values) each."""
    if directions is not None:
        for _ in range(directions):
            yield torch.empty_like(code).bernoulli_(0.5).mul_(2).sub_(1).detach()
        return
    for row in torch.eye(code.shape[1], device=code.device):
        yield row.expand_as(code)
