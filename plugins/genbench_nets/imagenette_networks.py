"""IJzer's Imagenette networks for 160 px (VAE and GAN on MNIST and Imagenette, table 3).

The table gives channels, kernels and strides. Its sizes follow where no layer pads: D 160 -> 79 ->
38 -> 18 -> 4 (the last pool is 4), 128*4*4 = 2048 -> 1; the VAE's encoder has a last pool of 2 and
ends in 8 and 128*8*8 = 8192; G and the decoder 8 -> 18 -> 38 -> 78 -> 158 -> 318 -> 320, which is
interpolated to 160. It names no output layer, nor a mode of interpolation or a slope: in place of
the last LeakyReLU a tanh (G) or logits (decoder), bilinear, 0.2.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import nn

from genbench_nets.mlp import Unflatten

Upsampling = Literal["transposed", "resize"]

SIDE = 160
GRID = (256, 8, 8)
G_WIDTHS = (256, 128, 64, 32, 16, 8)
D_WIDTHS = (16, 32, 64, 128)


def imagenette_generator(
    z_dim: int, image_channels: int, upsample: Upsampling = "transposed"
) -> list[nn.Module]:
    """The layers of (B, z_dim) -> (B, image_channels, 160, 160) in [-1, 1].

    ``resize`` (tried there too) puts nearest neighbours and a 3x3 convolution in the place of each
    transposed one: 8 -> 16 -> ... -> 256, interpolated to 160.
    """
    return [*imagenette_decoder(z_dim, image_channels, upsample), nn.Tanh()]


def imagenette_decoder(
    z_dim: int, image_channels: int, upsample: Upsampling = "transposed"
) -> list[nn.Module]:
    """The layers of (B, z_dim) -> logits (B, image_channels, 160, 160)."""
    channels, height, width = GRID
    layers: list[nn.Module] = [
        nn.Linear(z_dim, channels * height * width),
        nn.LeakyReLU(0.2),
        Unflatten(GRID),
    ]
    for inputs, outputs in pairwise(G_WIDTHS):
        layers += [
            *_doubling(inputs, outputs, upsample),
            nn.LeakyReLU(0.2),
            nn.BatchNorm2d(outputs),
        ]
    last = (
        nn.ConvTranspose2d(G_WIDTHS[-1], image_channels, 3, 1)
        if upsample == "transposed"
        else nn.Conv2d(G_WIDTHS[-1], image_channels, 3, 1, 1)
    )
    return [*layers, last, nn.Upsample((SIDE, SIDE), mode="bilinear")]


def _doubling(inputs: int, outputs: int, upsample: Upsampling) -> list[nn.Module]:
    if upsample == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 4, 2)]
    return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(inputs, outputs, 3, 1, 1)]


def imagenette_discriminator(image_channels: int) -> list[nn.Module]:
    """The layers of (B, image_channels, 160, 160) -> (B, 1), the last of them linear."""
    return [*_pooled(image_channels, last_pool=4), nn.Linear(D_WIDTHS[-1] * 4 * 4, 1)]


def imagenette_encoder(image_channels: int, out: int) -> list[nn.Module]:
    """The layers of (B, image_channels, 160, 160) -> (B, out), the last of them linear."""
    return [*_pooled(image_channels, last_pool=2), nn.Linear(D_WIDTHS[-1] * 8 * 8, out)]


def _pooled(image_channels: int, last_pool: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((image_channels, *D_WIDTHS)):
        pool = last_pool if outputs == D_WIDTHS[-1] else 2
        layers += [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(pool)]
    return [*layers, nn.Flatten()]
