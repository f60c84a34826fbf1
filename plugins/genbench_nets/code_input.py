"""InfoGAN's latent codes as a function of z ~ N(0, I) (Chen et al. 2016, arXiv:1606.03657)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench_nets.labels import one_hot


@dataclass(frozen=True, kw_only=True)
class InfoGANCodes:
    """What Q has to predict: ``category`` (B,) int64, ``continuous`` (B, K) in [-1, 1]."""

    category: Tensor
    continuous: Tensor


class CodeInput(nn.Module):
    """z (B, noise + categories + K) -> what G sees, of the same size: noise, one-hot, codes."""

    def __init__(self, categories: int, continuous: int) -> None:
        super().__init__()
        self.categories, self.continuous = categories, continuous

    def forward(self, z: Tensor) -> Tensor:
        """Noise as it is, the category one-hot, continuous codes in [-1, 1]."""
        codes = self.codes(z)
        noise = z[:, : -(self.categories + self.continuous)]
        hot = one_hot(codes.category, self.categories).to(z.dtype)
        return torch.cat((noise, hot, codes.continuous.to(z.dtype)), dim=1)

    def codes(self, z: Tensor) -> InfoGANCodes:
        """The codes that z stands for."""
        end = z.shape[1] - self.continuous
        category = z[:, end - self.categories : end].argmax(1)
        uniform = 2 * torch.special.ndtr(z[:, end:].float()) - 1
        return InfoGANCodes(category=category, continuous=uniform)
