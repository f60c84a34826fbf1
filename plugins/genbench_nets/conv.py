"""Convolutional networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from genbench_nets.mlp import Unflatten

SMALLEST_GRIDS = (4, 5, 6, 7)


def halvings(size: int) -> tuple[int, int] | None:
    """How often ``size`` halves down to a grid of 4 to 7, and that grid; None where it doesn't.

    >>> halvings(28), halvings(64), halvings(30)
    ((2, 7), (4, 4), None)
    """
    steps = 0
    while size % 2 == 0 and size > SMALLEST_GRIDS[-1]:
        size //= 2
        steps += 1
    return (steps, size) if steps and size in SMALLEST_GRIDS else None


def conv_encoder(
    shape: Sequence[int], channels: Sequence[int], hidden: int, out: int
) -> nn.Sequential:
    """Strided 4x4 convolutions (each halves the image), ReLU, linear to ``hidden``, to ``out``."""
    layers: list[nn.Module] = []
    inputs, size = shape[0], shape[1]
    for outputs in channels:
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
        inputs, size = outputs, size // 2
    flat = inputs * size * size
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, out)
    )


def conv_decoder(
    shape: Sequence[int], channels: Sequence[int], hidden: int, z_dim: int
) -> nn.Sequential:
    """The mirror of `conv_encoder`: linear, ReLU, linear, transposed convolutions to logits."""
    size = shape[1] >> len(channels)
    widths = [*reversed(channels), shape[0]]
    layers: list[nn.Module] = [
        nn.Linear(z_dim, hidden),
        nn.ReLU(),
        nn.Linear(hidden, widths[0] * size * size),
        nn.ReLU(),
        Unflatten((widths[0], size, size)),
    ]
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        layers.append(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1))
        if i < len(widths) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)
