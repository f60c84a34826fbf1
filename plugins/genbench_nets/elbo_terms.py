"""The parts of the evidence lower bound (Kingma & Welling 2013, arXiv:1312.6114, eq. 3 and 10)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Likelihood = Literal["bernoulli", "mse"]


def sample_posterior(mean: Tensor, logvar: Tensor) -> Tensor:
    """z = mean + sigma * eps (the reparameterisation trick, section 2.4), (B, z_dim), float32."""
    mean, logvar = mean.float(), logvar.float()
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


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) in nats, (B,), of pixels -1 (black) or 1 (white), white with sigmoid(logits).

    A pixel's own is log sigmoid(x * logit): half of what cross-entropy with a target computes.
    """
    return F.logsigmoid(x.float() * logits.float()).flatten(1).sum(1)


def gaussian_log_likelihood(mean: Tensor, log_std: Tensor, x: Tensor) -> Tensor:
    """log N(x; mean, exp(log_std)^2 I) in nats, (B,): a density of x in its own unit.

    ``log_std`` is 0-dim: one for all values.
    """
    mean, log_std, x = mean.float(), log_std.float(), x.float()
    squared = (x - mean).square().flatten(1).sum(1) * torch.exp(-2 * log_std)
    values = x[0].numel()
    return -0.5 * squared - values * (log_std + 0.5 * math.log(2 * math.pi))


def log_importance_weight(
    log_likelihood: Tensor, z: Tensor, mean: Tensor, logvar: Tensor
) -> Tensor:
    """log p(x|z) + log p(z) - log q(z|x) in nats, (B,): the prior N(0, I), q a diagonal Gaussian.

    Eq. 8 of Burda et al. 2016, arXiv:1509.00519; the factors of 2 pi of the two cancel.
    """
    z, mean, logvar = z.float(), mean.float(), logvar.float()
    noise = (z - mean).square() * torch.exp(-logvar)
    return log_likelihood + 0.5 * (noise + logvar - z.square()).flatten(1).sum(1)
