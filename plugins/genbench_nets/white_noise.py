"""White noise on what a network sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WhiteNoise(nn.Module):
    """x + std * eps, eps ~ N(0, I), in training; x itself in eval mode.

    ``std`` is in the unit of x: for images on the scale [-1, 1], which is left by the sum.
    """

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x + self.std * torch.randn_like(x) if self.training else x
