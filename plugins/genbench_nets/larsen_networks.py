"""The networks of Larsen et al. 2016, arXiv:1512.09300, table 1: 5x5 kernels, batch normalisation.

The paper has 64 px; here the side may be any multiple of 8. Labels are planes beside an image
and values beside a latent.
"""

from __future__ import annotations

from torch import nn

from genbench_nets.coders import Coders
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.mlp import Unflatten


def larsen_coders(shape: tuple[int, ...], z_dim: int, classes: int | None = None) -> Coders:
    """Encoder (64, 128, 256; 2048) to mean and log-variance, decoder (256, 256, 128, 32)."""
    channels, height, width = shape
    grid = (256, height // 8, width // 8)
    flat = 256 * grid[1] * grid[2]
    encoder = LabelledSequential(
        *_down(channels + (classes or 0), 64),
        *_down(64, 128),
        *_down(128, 256),
        nn.Flatten(),
        *_dense(flat, 2048),
        nn.Linear(2048, 2 * z_dim),
        classes=classes,
    )
    decoder = LabelledSequential(
        *_dense(z_dim + (classes or 0), flat),
        Unflatten(grid),
        *_up(256, 256),
        *_up(256, 128),
        *_up(128, 32),
        nn.Conv2d(32, channels, 5, 1, 2),
        classes=classes,
    )
    return Coders(encoder=encoder, decoder=decoder)


def larsen_discriminator(shape: tuple[int, ...], classes: int | None = None) -> LabelledSequential:
    """(B, *shape) -> (B, 1); its features are the last convolution's, before normalisation.

    The paper does not name the layer; the authors' code compares this one.
    """
    channels, height, width = shape
    last = 256 * (height // 8) * (width // 8)
    return LabelledSequential(
        nn.Conv2d(channels + (classes or 0), 32, 5, 1, 2),
        nn.ReLU(),
        *_down(32, 128),
        *_down(128, 256),
        nn.Conv2d(256, 256, 5, 2, 2, bias=False),
        nn.Sequential(
            nn.BatchNorm2d(256), nn.ReLU(), nn.Flatten(), *_dense(last, 512), nn.Linear(512, 1)
        ),
        classes=classes,
    )


def _down(inputs: int, outputs: int) -> list[nn.Module]:
    # The normalisation that follows would cancel a bias, so no loss could move it.
    convolution = nn.Conv2d(inputs, outputs, 5, 2, 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _up(inputs: int, outputs: int) -> list[nn.Module]:
    convolution = nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
