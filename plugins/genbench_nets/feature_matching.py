"""Distances between the features of real and of generated samples, by pairs and by means.

The losses of CVAE-GAN's generator (Bao et al. 2017, arXiv:1703.10155, section 3). Features (B, ...)
are of any layer and are flattened; those of real samples get no gradient. Computed in float32
whatever the networks ran in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def pair_distance(real: Tensor, again: Tensor) -> Tensor:
    """1/2 ||f(x) - f(x')||^2 of x and its reconstruction x', a mean over the batch."""
    difference = again.float().flatten(1) - real.detach().float().flatten(1)
    return 0.5 * difference.square().sum(1).mean()


@dataclass(frozen=True, kw_only=True)
class GroupMeans:
    """The mean features of each group of a batch: ``means`` (groups, F), ``counts`` (groups,).

    The mean of a group without samples is 0 and is not used.
    """

    means: Tensor
    counts: Tensor


def group_means(features: Tensor, groups: Tensor, size: int) -> GroupMeans:
    """Means of features (B, ...) over the samples of each group; ``groups`` is int64 (B,)."""
    flat = features.float().flatten(1)
    counts = flat.new_zeros(size).index_add(0, groups, flat.new_ones(len(flat)))
    sums = flat.new_zeros(size, flat.shape[1]).index_add(0, groups, flat)
    return GroupMeans(means=sums / counts.clamp_min(1.0)[:, None], counts=counts)


def means_distance(real: GroupMeans, fake: GroupMeans) -> Tensor:
    """1/2 sum over groups of ||mean f(x) - mean f(G(z))||^2; with one group, of the overall means.

    A group without samples on either side contributes nothing.
    """
    squares = (fake.means - real.means.detach()).square().sum(1)
    both = (real.counts > 0) & (fake.counts > 0)
    return 0.5 * torch.where(both, squares, 0.0).sum()


class RunningMeans(nn.Module):
    """Means of a batch -> their moving average, by group, with the gradient of the batch's means.

    A minibatch of 100 has 10 samples of each of 10 classes, and their means are noisy: half a
    squared distance of such means also contains the samples' spread. As in batch normalisation the
    average changes with each pass in training mode. With ``decay`` 0 it is the batch's own means.
    """

    average: Tensor
    seen: Tensor

    def __init__(self, groups: int, features: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("average", torch.zeros(groups, features))
        self.register_buffer("seen", torch.zeros(groups))

    def forward(self, batch: GroupMeans) -> GroupMeans:
        """The same counts; the mean of a group without samples in the batch stays as it was."""
        if not self.decay:
            return batch
        with torch.no_grad():
            # The first averages are plain ones, so that they don't start at 0.
            keep = (self.seen / (self.seen + 1)).clamp_max(self.decay)
            keep = torch.where(batch.counts > 0, keep, 1.0)
            average = torch.lerp(batch.means, self.average, keep[:, None])
            if self.training:
                self.average.copy_(average)
                self.seen.add_((batch.counts > 0).to(self.seen.dtype))
        return GroupMeans(means=average + batch.means - batch.means.detach(), counts=batch.counts)


class MeansDistance(nn.Module):
    """`means_distance` of features with their groups, of running means where ``decay`` is above 0.

    The real samples' features get no gradient.
    """

    mixes_samples = True

    def __init__(self, groups: int, features: int, decay: float = 0.0) -> None:
        super().__init__()
        self.groups = groups
        self.real = RunningMeans(groups, features, decay)
        self.fake = RunningMeans(groups, features, decay)

    def forward(
        self, real: Tensor, real_groups: Tensor, fake: Tensor, fake_groups: Tensor
    ) -> Tensor:
        """0-dim; features (B, ...) and int64 (B,) of each side; the two batch sizes may differ."""
        of_real: GroupMeans = self.real(group_means(real.detach(), real_groups, self.groups))
        of_fake: GroupMeans = self.fake(group_means(fake, fake_groups, self.groups))
        return means_distance(of_real, of_fake)
