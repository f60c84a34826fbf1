"""How strongly an encoder's code moves with its input: the squared Frobenius norm of its Jacobian.

It is computed through gradients and is itself differentiated, so a phase with it says
``compile=False``. Under autocast the encoder runs in float32 for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

SMALLEST = 1e-6
"""Of the standard deviation of a code's dimension over a batch: below, it counts as this."""


def contraction(
    encode: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    directions: int | None = None,
    relative: bool = False,
) -> Tensor:
    """The mean over the batch of ||J||_F^2, J = d encode(x) / d x, 0-dim, float32.

    The penalty of Rifai et al. 2011 (ICML). Exact with ``directions`` None: one backward
    pass for each value of the code. Else an unbiased estimate by so many passes: E ||v J||^2 over
    signs v, drawn for each sample (Hutchinson 1989). ``relative`` measures each value of the code
    in its own standard deviation over the batch, so that a code that is merely made smaller does
    not count as contracted.
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
    """What the rows of the Jacobian are weighted by, (B, values) each."""
    if directions is not None:
        for _ in range(directions):
            yield torch.empty_like(code).bernoulli_(0.5).mul_(2).sub_(1).detach()
        return
    for row in torch.eye(code.shape[1], device=code.device):
        yield row.expand_as(code)
