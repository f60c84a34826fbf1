"""triangles: images of equilateral triangles, a manifold of four dimensions in pixel space.

After Lucic et al. 2018 (arXiv:1711.10337), section 5, who score GANs on triangles because their
distance to a sample can be computed, so that precision and recall are known. Ours have a centre, a
radius and an angle, all uniform; an image is a smooth function of the four (edges are antialiased),
and `nearest` finds the triangle that is nearest to any image.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genbench import Data, DataAccess, Split
from genbench_toy.toy_settings import TrianglesSettings

THIRD = 2 * math.pi / 3
"""A triangle that is turned by this angle is the same."""
STEPS = 12
"""Steps of the search for the nearest triangle."""
FAR = 0.02
"""Images farther away than this are searched again from the opposite angle."""


class Triangles:
    """The data set ``triangles``, uint8 (1, size, size): white on black, unlabelled."""

    def __init__(self, settings: TrianglesSettings) -> None:
        self.settings = settings

    def load(self, access: DataAccess) -> Data:
        """Draw the triangles, each split from a stream of its own."""
        s = self.settings
        splits = [
            _split(np.random.RandomState([s.seed, part]), size, s.size)
            for part, size in enumerate((s.train, s.test))
        ]
        return Data(spec=s.describe(access), train=splits[0], test=splits[1])


def _split(order: np.random.RandomState, count: int, size: int) -> Split:
    uniform = torch.from_numpy(order.random_sample((count, 4))).float()
    low, high = bounds(size)
    parts = [drawn(part, size) for part in torch.split(low + uniform * (high - low), 1000)]
    x = torch.cat(parts)[:, None].mul(255).round().to(torch.uint8).numpy()
    return Split(x=x, y=None, digest=hashlib.sha256(x.tobytes()).hexdigest()[:32])


def bounds(size: int) -> tuple[Tensor, Tensor]:
    """The smallest and the largest parameters (4,): x and y of the centre, radius, angle.

    The first three are in pixels; the triangle lies within the image.
    """
    low = torch.tensor([0.4 * size, 0.4 * size, 0.2 * size, 0.0])
    high = torch.tensor([0.6 * size, 0.6 * size, 0.4 * size, THIRD])
    return low, high


def drawn(parameters: Tensor, size: int) -> Tensor:
    """The images (n, size, size) in [0, 1] of triangles (n, 4).

    A pixel is 1/2 plus its distance (in pixels) to the nearest edge, clamped to [0, 1].
    """
    return _inside(parameters, size)[0].add(0.5).clamp(0, 1)


def _inside(parameters: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """How far pixels lie inside the nearest edge, (n, size, size), and the angle across that."""
    x, y, radius, angle = parameters[..., None, None].unbind(1)
    places = torch.arange(size, device=parameters.device) + 0.5
    across = [angle + edge * THIRD for edge in range(3)]
    along = [(places - x) * a.cos() + (places[:, None] - y) * a.sin() for a in across]
    farthest = torch.stack(along, 1).max(1)
    return radius / 2 - farthest.values, angle + farthest.indices * THIRD


def _slopes(parameters: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The images (n, size, size), and their derivatives by the parameters, (n, size * size, 4)."""
    inside, across = _inside(parameters, size)
    x, y, *_ = parameters[..., None, None].unbind(1)
    places = torch.arange(size, device=parameters.device) + 0.5
    cos, sin = torch.cos(across), torch.sin(across)
    turning = (places - x) * sin - (places[:, None] - y) * cos
    slopes = torch.stack([cos, sin, torch.full_like(cos, 0.5), turning], dim=3)
    slopes = slopes * (inside.abs() < 0.5)[..., None]
    return (inside + 0.5).clamp(0, 1), slopes.flatten(1, 2)


@dataclass(frozen=True, kw_only=True)
class NearestTriangles:
    """For each image its nearest triangle (n, 4), and the distance (n,), RMS over the pixels."""

    parameters: Tensor
    distances: Tensor


def nearest(images: Tensor) -> NearestTriangles:
    """The triangles nearest to images (n, size, size) in [0, 1].

    The search is a damped Gauss-Newton from the moments of the image (the centre of mass, the area,
    and the angle of the third moment), and from the opposite angle if that ends far away. So the
    distance is exact near the manifold, and an upper bound far away from it.
    """
    start = _moments(images)
    found = _searched(images, start)
    far = found.distances > FAR
    if not far.any():
        return found
    turned = start[far] + torch.tensor([0, 0, 0, THIRD / 2], device=images.device)
    other = _searched(images[far], turned)
    closer = other.distances < found.distances[far]
    found.parameters[far] = torch.where(closer[:, None], other.parameters, found.parameters[far])
    found.distances[far] = torch.minimum(other.distances, found.distances[far])
    return found


def _moments(images: Tensor) -> Tensor:
    """The parameters of a triangle with the moments of the image."""
    places = torch.arange(images.shape[-1], device=images.device) + 0.5
    mass = images.sum((1, 2)).clamp(min=1e-6)
    x = (images.sum(1) * places).sum(1) / mass
    y = (images.sum(2) * places).sum(1) / mass
    offset = torch.complex(
        (places - x[:, None])[:, None, :].expand_as(images),
        (places - y[:, None])[:, :, None].expand_as(images),
    )
    third = (images * offset**3).sum((1, 2))
    angle = (third.angle() + math.pi) / 3
    return torch.stack([x, y, (4 * mass / (3 * math.sqrt(3))).sqrt(), angle], dim=1)


def _allowed(parameters: Tensor, size: int) -> Tensor:
    low, high = (bound.to(parameters.device) for bound in bounds(size))
    angle = parameters[:, 3:].remainder(THIRD)
    return torch.cat([parameters[:, :3].clamp(low[:3], high[:3]), angle], dim=1)


def _searched(images: Tensor, parameters: Tensor) -> NearestTriangles:
    """Damped Gauss-Newton steps, each kept for the images that it brings closer."""
    size = images.shape[-1]
    parameters = _allowed(parameters, size)
    damping = torch.full((len(images), 1, 1), 1e-2, device=images.device)
    made, slopes = _slopes(parameters, size)
    error = made - images
    for _ in range(STEPS):
        normal = slopes.mT @ slopes
        normal = normal + damping * torch.diag_embed(normal.diagonal(dim1=1, dim2=2) + 1e-3)
        step = torch.linalg.solve(normal, slopes.mT @ error.flatten(1)[:, :, None])[:, :, 0]
        moved = _allowed(parameters - step, size)
        made, slopes_there = _slopes(moved, size)
        better = (made - images).square().sum((1, 2)) < error.square().sum((1, 2))
        parameters = torch.where(better[:, None], moved, parameters)
        error = torch.where(better[:, None, None], made - images, error)
        slopes = torch.where(better[:, None, None], slopes_there, slopes)
        damping = torch.where(better[:, None, None], damping / 4, damping * 8).clamp(1e-6, 1e6)
    return NearestTriangles(parameters=parameters, distances=error.square().mean((1, 2)).sqrt())
