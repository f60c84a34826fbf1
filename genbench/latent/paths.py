"""Paths from one latent to another: straight, or along the sphere.

Draws of N(0, I) in many dimensions have nearly one norm, and a straight line between two of them
leads through a ball where the prior has no mass (White 2016, arXiv:1609.04468, section 2.1). A
spherical path keeps to the shell.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Path = Literal["spherical", "linear"]

PARALLEL = 1e-6
"""Sine of the angle below which two directions span no plane of their own."""


def path(kind: Path, a: Tensor, b: Tensor, steps: int) -> Tensor:
    """``steps`` latents from each a to its b, both (B, *latent): (B, steps, *latent).

    The first is a and the last is b, bit by bit. ``steps`` is at least 2.
    """
    ends = a.flatten(1).double(), b.flatten(1).double()
    t = torch.linspace(0, 1, steps, dtype=torch.float64, device=a.device)[1:-1, None]
    between = _spherical(*ends, t) if kind == "spherical" else _linear(*ends, t)
    shaped = between.to(a.dtype).view(len(a), -1, *a.shape[1:])
    return torch.cat((a[:, None], shaped, b[:, None]), dim=1)


def _linear(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(B, D), (B, D), (T, 1) -> (B, T, D)."""
    return a[:, None] * (1 - t) + b[:, None] * t


def _spherical(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Turn at a constant rate from a to b while the norm goes linearly from |a| to |b|.

    White's slerp has sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b, which is the same for equal
    norms but divides by zero where a and b are (anti)parallel. Here the turn is told by a's
    direction and one at right angles to it: of opposite ends any will do, and it is always the
    same one. Where an end is 0 it has the other's direction. In one dimension nothing turns, and
    the path is straight.
    """
    if a.shape[1] == 1:
        return _linear(a, b, t)
    a_norm, b_norm = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    u, v = _unit(a), _unit(b)
    u, v = torch.where(a_norm > 0, u, v), torch.where(b_norm > 0, v, u)
    cosine = (u * v).sum(1, keepdim=True)
    across = v - cosine * u
    sine = across.norm(dim=1, keepdim=True)
    side = torch.where(sine > PARALLEL, _unit(across), _at_right_angles(u))
    angle = torch.atan2(sine, cosine)[:, None] * t
    norm = _linear(a_norm, b_norm, t)
    turned: Tensor = norm * (angle.cos() * u[:, None] + angle.sin() * side[:, None])
    return turned


def _unit(x: Tensor) -> Tensor:
    """x / |x|; 0 stays 0."""
    unit: Tensor = x / x.norm(dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return unit


def _at_right_angles(u: Tensor) -> Tensor:
    """A unit vector orthogonal to each u (B, D): from the axis that u has least of."""
    axis = torch.zeros_like(u).scatter_(1, u.abs().argmin(1, keepdim=True), 1.0)
    return _unit(axis - (axis * u).sum(1, keepdim=True) * u)
