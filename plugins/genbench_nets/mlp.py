"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import Tensor, nn

Activation = Literal["relu", "leaky_relu", "elu", "tanh"]


def activation(name: Activation, *, in_place: bool = False) -> nn.Module:
    """A fresh activation layer; the leaky one has slope 0.2, as in the GAN papers.

    Only a leaky one can be ``in_place``: nothing else may use its input then.
    """
    if name == "leaky_relu":
        return nn.LeakyReLU(0.2, inplace=in_place)
    if name == "tanh":
        return nn.Tanh()
    return nn.ELU() if name == "elu" else nn.ReLU()


def mlp(
    sizes: Sequence[int],
    *,
    act: Activation = "relu",
    dropout: float = 0.0,
    in_place: bool = False,
) -> nn.Sequential:
    """Linear layers through ``sizes``; each but the last with an activation and dropout."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), activation(act, in_place=in_place)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(sizes[-2], sizes[-1]))
    return nn.Sequential(*layers)


class Unflatten(nn.Module):
    """(B, D) -> (B, *shape). The channels of a feature map follow from D, which may change."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Reshape; D must be a multiple of the size of a channel."""
        channels = x.shape[1] // prod(self.shape[1:])
        return x.view(x.shape[0], channels, *self.shape[1:])


def flat_size(shape: Sequence[int]) -> int:
    """The number of values in one sample."""
    return prod(shape)
