"""The networks of DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434), and guo2023's.

The number of halvings follows the size: 64 -> 32 -> 16 -> 8 -> 4 as in the paper, 28 -> 14 -> 7.
All are given as layers in a row, the last of a discriminator's being its head.
"""

from __future__ import annotations

from torch import nn

from genbench_nets.conv import halvings
from genbench_nets.imagenette_networks import Upsampling
from genbench_nets.mlp import Unflatten


def paper_generator(
    shape: tuple[int, ...], z_dim: int, channels: int, upsample: Upsampling = "transposed"
) -> list[nn.Module]:
    """(B, z_dim) -> (B, *shape): the smallest grid from z, doubled up to the image.

    ``resize`` doubles by nearest neighbours and a 3x3 convolution, which leaves no checkerboard.
    """
    steps, grid = halvings(shape[1]) or (0, 0)
    width = channels << (steps - 1)
    layers: list[nn.Module] = [
        Unflatten((z_dim, 1, 1)),
        nn.ConvTranspose2d(z_dim, width, grid, 1, 0, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for _ in range(steps - 1):
        layers += [*_doubling(width, width // 2, upsample), nn.BatchNorm2d(width // 2), nn.ReLU()]
        width //= 2
    return _initialised([*layers, *_doubling(width, shape[0], upsample), nn.Tanh()])


def _doubling(inputs: int, outputs: int, upsample: Upsampling) -> list[nn.Module]:
    if upsample == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
    return [
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
    ]


def paper_discriminator(shape: tuple[int, ...], channels: int) -> list[nn.Module]:
    """(B, *shape) -> (B, 1): halve the image down to the smallest grid, then one value."""
    steps, grid = halvings(shape[1]) or (0, 0)
    width = channels
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for _ in range(steps - 1):
        layers += [
            nn.Conv2d(width, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2),
        ]
        width *= 2
    head = nn.Conv2d(width, 1, grid, 1, 0, bias=False)
    return [*_initialised([*layers, head])[:-1], nn.Sequential(head, nn.Flatten())]


def _initialised(layers: list[nn.Module]) -> list[nn.Module]:
    """Section 4: weights from N(0, 0.02); scales from N(1, 0.02) as in PyTorch's example."""
    for module in layers:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return layers


def guo_generator(z_dim: int, image_channels: int) -> list[nn.Module]:
    """(B, z_dim) -> (B, C, 28, 28) by 3x3 kernels, the last of stride 2; sizes from its code."""
    return [
        nn.Linear(z_dim, 56 * 56),
        Unflatten((1, 56, 56)),
        nn.BatchNorm2d(1),
        nn.ReLU(),
        nn.Conv2d(1, 64, 3, 1, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 32, 3, 1, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, image_channels, 3, 2, 1),
        nn.Tanh(),
    ]


def guo_discriminator(image_channels: int) -> list[nn.Module]:
    """(B, C, 28, 28) -> (B, 1) by 3x3 kernels, pooled."""
    return [
        nn.Conv2d(image_channels, 32, 3, 1, 1),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, 1, 1),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 1024),
        nn.LeakyReLU(0.2),
        nn.Linear(1024, 1),
    ]
