"""The parts of the evidence lower bound (Kingma & Welling 2013, arXiv:1312.6114, eq. 3 and 10)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["bernoulli", "mse"]


def sample_posterior(mean: Tensor, logvar: Tensor) -> Tensor:
    """z = mean + sigma * eps (the reparameterisation trick, section 2.4), (B, z_dim)."""
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)


def kl_to_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL[N(mean, exp(logvar)) || N(0, I)] in nats, a mean over the batch (appendix B)."""
    mean, logvar = mean.float(), logvar.float()
    return -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum() / len(mean)


def reconstruction_loss(logits: Tensor, x: Tensor, likelihood: Likelihood) -> Tensor:
    """Reconstruction error of ``sigmoid(logits)`` against x in [-1, 1], per image.

    Summed over the pixels, a mean over the batch, on the scale [0, 1]. ``bernoulli`` is the binary
    cross-entropy in nats (on grey levels a loss, not a likelihood); ``mse`` the squared error.
    Computed in float32 whatever the networks ran in.
    """
    target = x.float().add(1).mul(0.5)
    logits = logits.float()
    if likelihood == "bernoulli":
        total = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    else:
        total = F.mse_loss(logits.sigmoid(), target, reduction="sum")
    return total / len(x)
