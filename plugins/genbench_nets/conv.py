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


def halving(inputs: int, outputs: int, kernel: int = 4, *, norm: bool = False) -> list[nn.Module]:
    """A strided convolution that halves an even side exactly, batch normalisation, ReLU.

    ``kernel`` is 3 or 4. A bias before a normalisation would do nothing, so there is none.
    """
    return [nn.Conv2d(inputs, outputs, kernel, 2, 1, bias=not norm), *normed(outputs, norm)]


def doubling(inputs: int, outputs: int, kernel: int = 4, *, bias: bool = True) -> nn.Module:
    """The transposed convolution that doubles a side exactly; ``kernel`` is 3 or 4."""
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, 1, output_padding=4 - kernel, bias=bias)


def normed(channels: int, norm: bool) -> list[nn.Module]:
    """Batch normalisation where ``norm`` asks for it, then ReLU."""
    return [nn.BatchNorm2d(channels), nn.ReLU()] if norm else [nn.ReLU()]


def conv_encoder(
    shape: Sequence[int],
    channels: Sequence[int],
    hidden: int,
    out: int,
    *,
    kernel: int = 4,
    norm: bool = False,
) -> nn.Sequential:
    """Strided convolutions (each halves the image), ReLU, linear to ``hidden``, to ``out``."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((shape[0], *channels)):
        layers += halving(inputs, outputs, kernel, norm=norm)
    size = shape[1] >> len(channels)
    flat = channels[-1] * size * size
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, out)
    )


def conv_decoder(
    shape: Sequence[int],
    channels: Sequence[int],
    hidden: int,
    z_dim: int,
    *,
    kernel: int = 4,
    norm: bool = False,
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
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [doubling(inputs, outputs, kernel, bias=not norm), *normed(outputs, norm)]
    return nn.Sequential(*layers, doubling(widths[-2], widths[-1], kernel))
