"""A walk along each dimension of a latent space, or a grid over a space of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import torch
from torch import Tensor

from genbench.contracts import Picture
from genbench.latent.spaces import LatentSpace, Law
from genbench.pictures.classes import class_name

Spacing = Literal["linear", "quantiles"]

PLANE_RANGE, RANGE, UNIFORM_RANGE = 5.0, 3.0, 1.0
"""Range of a walk around 0: for one or two dimensions, for more, and for a uniform prior."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What 1 on a walk's scale stands for: ``std`` away from ``mean``, each (*shape).

    ``name`` is what a caption adds for it.
    """

    mean: Tensor
    std: Tensor
    name: str = ""

    def latents(self, values: Tensor) -> Tensor:
        """Values (B, *shape) on the walk's scale as latents."""
        return self.mean + self.std * values

    def values(self, latents: Tensor) -> Tensor:
        """Latents (B, *shape) as values on the walk's scale; a constant dimension gives 0."""
        return torch.where(self.std > 0, (latents - self.mean) / self.std, 0.0)


def plain_unit(shape: tuple[int, ...]) -> Unit:
    """The scale on which a latent is its own value."""
    return Unit(mean=torch.zeros(shape), std=torch.ones(shape))


def unit_of(codes: Tensor) -> Unit:
    """The scale of these codes (N, *shape): mean and standard deviation of each dimension."""
    name = " in standard deviations of the codes"
    return Unit(mean=codes.mean(0), std=codes.std(0, correction=0), name=name)


def stops(spacing: Spacing, reach: float, steps: int, law: Law | None = None) -> list[float]:
    """The values that a walk stops at, ascending.

    They are evenly spaced from -reach to reach, or the quantiles (i + 1/2) / steps of the prior (or
    of N(0, 1) if there is none), so that all stops stand for equal shares of its mass.
    """
    if spacing == "linear":
        spread = torch.linspace(-reach, reach, steps, dtype=torch.float64)
        return [round(float(value), 12) for value in spread]
    shares = [(step + 0.5) / steps for step in range(steps)]
    if law == "uniform":
        return [2 * share - 1 for share in shares]
    return [NormalDist().inv_cdf(share) for share in shares]


def usual_reach(space: LatentSpace, scale: str) -> float:
    """The default range of a walk around 0; ``scale`` is linear or codes."""
    if scale == "codes":
        return RANGE
    if space.law == "uniform":
        return UNIFORM_RANGE
    return PLANE_RANGE if space.size <= 2 else RANGE


def grid(space: LatentSpace, values: Sequence[float], unit: Unit, y: Tensor | None) -> Picture:
    """All pairs of values over a space of two dimensions; ``y`` (1,) is the class, or None.

    As on a map: the first dimension runs to the right and the second upwards, so that the lower
    left image is that of (lowest, lowest).
    """
    ticks = torch.tensor(values, dtype=torch.float32)
    up, right = torch.meshgrid(ticks.flip(0), ticks, indexing="ij")
    places = torch.stack((right, up), dim=-1).reshape(-1, *space.shape)
    labels = None if y is None else y.expand(len(places))
    return Picture(
        images=space.images(unit.latents(places), labels),
        columns=len(values),
        about=f"Traversal of the latent space, z0 to the right and z1 upwards{unit.name}",
        row_names=_told(values)[::-1],
        column_names=_told(values),
    )


def line(space: LatentSpace, values: Sequence[float], unit: Unit, y: Tensor | None) -> Picture:
    """All values of the one dimension; a row for each class in ``y`` (rows,)."""
    rows = 1 if y is None else len(y)
    places = torch.tensor(values, dtype=torch.float32).repeat(rows).view(-1, *space.shape)
    labels = None if y is None else y.repeat_interleave(len(values))
    named = () if y is None else [class_name(int(label), space.data.spec) for label in y]
    return Picture(
        images=space.images(unit.latents(places), labels),
        columns=len(values),
        about=f"Traversal of the latent space along z0{unit.name}",
        row_names=named if len(named) > 1 else (),
        column_names=_told(values),
    )


def walks(
    space: LatentSpace,
    values: Sequence[float],
    unit: Unit,
    y: Tensor | None,
    *,
    start: Tensor,
    dims: Sequence[int],
) -> Picture:
    """One row for each of ``dims``, which takes the values; the others keep those of ``start``.

    Dimensions are counted from 0 through the flattened latent.
    """
    places = moved(unit.values(start), values, dims)
    labels = None if y is None else y.expand(len(places))
    return Picture(
        images=space.images(unit.latents(places), labels),
        columns=len(values),
        about=f"Traversals of the latent space, one dimension in each row{unit.name}",
        row_names=[f"z{dim}" for dim in dims],
        column_names=_told(values),
    )


def moved(start: Tensor, values: Sequence[float], dims: Sequence[int]) -> Tensor:
    """Copies of start (*shape), each with one value in one of dims: (dims * values, *shape)."""
    places = start.flatten().repeat(len(dims), len(values), 1)
    for row, dim in enumerate(dims):
        places[row, :, dim] = torch.tensor(values, dtype=start.dtype)
    return places.view(-1, *start.shape)


def most_active(codes: Tensor, count: int) -> list[int]:
    """The dimensions in which these codes (N, *shape) vary most, in descending order.

    A dimension that a VAE doesn't use has the same mean for all data: its variance is 0 (Burda
    et al. 2016, arXiv:1509.00519, section 5).
    """
    variance = codes.flatten(1).var(0, correction=0)
    order = variance.argsort(descending=True, stable=True)
    return [int(dim) for dim in order[:count]]


def most_telling(
    space: LatentSpace, reach: float, unit: Unit, y: Tensor | None, count: int
) -> list[int]:
    """The dimensions with the most different images at their two ends, in descending order.

    For noise that no data was encoded to: most of its dimensions do little on their own.
    """
    places = moved(torch.zeros(space.shape), (-reach, reach), range(space.size))
    labels = None if y is None else y.expand(len(places))
    images = space.images(unit.latents(places), labels).flatten(1).float()
    low, high = images.view(space.size, 2, -1).unbind(1)
    order = (high - low).abs().mean(1).argsort(descending=True, stable=True)
    return [int(dim) for dim in order[:count]]


def _told(values: Sequence[float]) -> list[str]:
    return [f"{round(value, 2) + 0.0:g}" for value in values]
