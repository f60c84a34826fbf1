"""Networks of a GAN on codes: noise -> code, code -> logit.

A code is a vector (D,) or a grid (C, H, W). Fully connected networks take both, a grid as the
vector of its values; the convolutional ones keep its places apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from genbench_nets.mlp import Unflatten, activation, flat_size, mlp


def latent_generator(z_dim: int, hidden: Sequence[int], code: tuple[int, ...]) -> nn.Sequential:
    """(B, z_dim) -> (B, *code), LeakyReLU between; the output is linear."""
    layers = mlp((z_dim, *hidden, flat_size(code)), act="leaky_relu", in_place=True)
    return layers if len(code) == 1 else nn.Sequential(*layers, Unflatten(code))


def latent_discriminator(code: tuple[int, ...], hidden: Sequence[int]) -> nn.Sequential:
    """(B, *code) -> (B, 1)."""
    layers = mlp((flat_size(code), *hidden, 1), act="leaky_relu", in_place=True)
    return layers if len(code) == 1 else nn.Sequential(nn.Flatten(), *layers)


def grid_generator(z_dim: int, width: int, code: tuple[int, ...]) -> nn.Sequential:
    """(B, z_dim) -> (B, C, H, W): linear to ``width`` channels, then three 3x3 convolutions."""
    channels, *grid = code
    return nn.Sequential(
        nn.Linear(z_dim, width * flat_size(grid)),
        Unflatten((width, *grid)),
        activation("leaky_relu"),
        nn.Conv2d(width, width, 3, 1, 1),
        activation("leaky_relu"),
        nn.Conv2d(width, width, 3, 1, 1),
        activation("leaky_relu"),
        nn.Conv2d(width, channels, 3, 1, 1),
    )


def grid_discriminator(code: tuple[int, ...], width: int) -> nn.Sequential:
    """(B, C, H, W) -> (B, 1): two 3x3 convolutions, the second halves the grid, then linear."""
    channels, *grid = code
    halved = [(side + 1) // 2 for side in grid]
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, 1, 1),
        activation("leaky_relu"),
        nn.Conv2d(width, 2 * width, 3, 2, 1),
        activation("leaky_relu"),
        nn.Flatten(),
        nn.Linear(2 * width * flat_size(halved), 256),
        activation("leaky_relu"),
        nn.Linear(256, 1),
    )
