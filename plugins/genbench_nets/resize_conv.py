"""Convolutions between changes of size: BEGAN's networks (figure 1, arXiv:1703.10717)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from genbench_nets.conv import halvings
from genbench_nets.mlp import Unflatten


def subsampling_encoder(shape: Sequence[int], channels: int, out: int) -> nn.Sequential:
    """(B, *shape) -> (B, out): 3x3 convolutions, ELU; a stride of 2 halves, channels grow by n.

    The halvings go down to a grid of 4 to 7 (28 -> 14 -> 7); the paper's go to 8.
    """
    steps, grid = halvings(shape[1]) or (0, 0)
    layers: list[nn.Module] = [nn.Conv2d(shape[0], channels, 3, 1, 1), nn.ELU()]
    for step in range(1, steps + 1):
        layers += [
            nn.Conv2d(channels * step, channels * step, 3, 1, 1),
            nn.ELU(),
            nn.Conv2d(channels * step, channels * (step + 1), 3, 2, 1),
            nn.ELU(),
        ]
    width = channels * (steps + 1)
    layers += [nn.Conv2d(width, width, 3, 1, 1), nn.ELU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * grid * grid, out))


def upsampling_decoder(shape: Sequence[int], channels: int, z_dim: int) -> nn.Sequential:
    """(B, z_dim) -> (B, *shape), linear at its end: 3x3 convolutions, ELU, neighbours x2."""
    steps, grid = halvings(shape[1]) or (0, 0)
    layers: list[nn.Module] = [
        nn.Linear(z_dim, channels * grid * grid),
        Unflatten((channels, grid, grid)),
    ]
    for step in range(steps + 1):
        if step:
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        for _ in range(2):
            layers += [nn.Conv2d(channels, channels, 3, 1, 1), nn.ELU()]
    return nn.Sequential(*layers, nn.Conv2d(channels, shape[0], 3, 1, 1))
