"""Subtract the mean training image from the input of a network, and add it to its output.

A network of tanh or sigmoid units otherwise spends hidden units on the mean image [fully connected
VAE, binarised MNIST, 5 epochs: test loss 119 without, 108 with]. The code of Burda et al. 2016
(arXiv:1509.00519) does the same by the bias of the output layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

EDGE = 1e-3
"""Minimum probability of white and of black: a pixel that is always black may still be white."""


def mean_image(chunks: Iterable[Tensor]) -> Tensor:
    """The mean of x in [-1, 1] on the scale [0, 1], (*shape), within (`EDGE`, 1 - `EDGE`)."""
    total, count, device = torch.zeros(()), 0, torch.device("cpu")
    for x in chunks:
        total = total + x.sum(0).cpu().double()
        count, device = count + len(x), x.device
    return total.div(count).add(1).div(2).clamp(EDGE, 1 - EDGE).float().to(device)


class Centred(nn.Module):
    """x in [-1, 1] -> its deviation from the mean image on the scale [0, 1]."""

    mean: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full(tuple(shape), 0.5))

    def fit(self, mean: Tensor) -> None:
        """Take the mean image, in [0, 1]."""
        self.mean.copy_(mean)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x.add(1).mul(0.5) - self.mean


class Offset(nn.Module):
    """Logits -> logits of which 0 is the mean image."""

    logits: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(tuple(shape)))

    def fit(self, mean: Tensor) -> None:
        """Take the mean image, in (0, 1)."""
        self.logits.copy_(torch.logit(mean))

    def forward(self, logits: Tensor) -> Tensor:
        """The same shape."""
        return logits + self.logits
