"""Discriminators of images with a chosen feature layer: x -> features -> logit.

A network is cut after its hidden layer ``layer``, counted from 1: `LabelledSequential.features`
gives the output of that layer, and the head is everything after it. Activations are LeakyReLU.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.mlp import activation, flat_size


def dense_discriminator(
    shape: tuple[int, ...], hidden: tuple[int, ...], layer: int, classes: int | None = None
) -> LabelledSequential:
    """(B, *shape) -> (B, 1), linear layers through ``hidden``; labels are values beside pixels."""
    widths = (flat_size(shape) + (classes or 0), *hidden)
    blocks = [[nn.Linear(i, o), activation("leaky_relu")] for i, o in pairwise(widths)]
    return _cut(blocks, [nn.Flatten()], [nn.Linear(hidden[-1], 1)], layer, classes, flat=True)


def conv_discriminator(
    shape: tuple[int, ...],
    channels: tuple[int, ...],
    hidden: int,
    layer: int,
    classes: int | None = None,
) -> LabelledSequential:
    """(B, C, H, W) -> (B, 1): 4x4 convolutions that each halve the image; labels are planes."""
    widths = (shape[0] + (classes or 0), *channels)
    blocks = [[nn.Conv2d(i, o, 4, 2, 1), activation("leaky_relu")] for i, o in pairwise(widths)]
    grid = [side >> len(channels) for side in shape[1:]]
    head = [
        nn.Flatten(),
        nn.Linear(channels[-1] * flat_size(grid), hidden),
        activation("leaky_relu"),
        nn.Linear(hidden, 1),
    ]
    return _cut(blocks, [], head, layer, classes)


def _cut(
    blocks: list[list[nn.Module]],
    first: list[nn.Module],
    last: list[nn.Module],
    layer: int,
    classes: int | None,
    *,
    flat: bool = False,
) -> LabelledSequential:
    body = [module for block in blocks[:layer] for module in block]
    rest = [module for block in blocks[layer:] for module in block]
    return LabelledSequential(
        *first, *body, nn.Sequential(*rest, *last), classes=classes, flat=flat
    )
