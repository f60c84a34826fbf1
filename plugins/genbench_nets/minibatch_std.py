"""Minibatch standard deviation: D sees how much the samples of a minibatch differ.

Section 3 of Karras et al. 2018, arXiv:1710.10196: the standard deviation of each feature over the
minibatch, averaged over all features, is one more channel of every sample. D recognises
a generator that collapses. Real and fake samples must pass through D in separate batches.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPS = 1e-8
"""Added inside the square root, which has an infinite slope at 0."""


class MinibatchStd(nn.Module):
    """(B, C, H, W) -> (B, C + 1, H, W), or (B, D) -> (B, D + 1)."""

    mixes_samples = True

    def forward(self, x: Tensor) -> Tensor:
        """Append the mean standard deviation as a constant channel."""
        value = minibatch_std(x).to(x.dtype)
        return torch.cat((x, value.expand(len(x), 1, *x.shape[2:])), dim=1)


def minibatch_std(x: Tensor) -> Tensor:
    """The mean over features of their standard deviation over the minibatch, 0-dim, float32.

    It is 0 for identical samples and for a minibatch of one.
    """
    variance = x.float().var(0, correction=0)
    deviation: Tensor = (variance + EPS).sqrt() - EPS**0.5
    return deviation.mean()
