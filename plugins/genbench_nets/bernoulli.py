"""Bernoulli posteriors over bits, by their logits: divergence, probability, samples, relaxations.

``logits`` are those of each bit being 1, (B, *code); all is computed in float32.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def kl_to_fair_coins(logits: Tensor) -> Tensor:
    """KL[B(rho) || B(1/2)] in nats, (B,): the sum of rho log 2 rho + (1 - rho) log 2 (1 - rho).

    By log rho = logsigmoid(logits), so that a certain bit costs log 2 and no NaN.
    """
    logits = logits.float()
    rho = logits.sigmoid()
    negative_entropy = rho * F.logsigmoid(logits) + (1 - rho) * F.logsigmoid(-logits)
    return (negative_entropy + math.log(2)).flatten(1).sum(1)


def log_probability(logits: Tensor, bits: Tensor) -> Tensor:
    """log q(bits) in nats, (B,), differentiable in the logits."""
    return F.logsigmoid((2 * bits.float() - 1) * logits.float()).flatten(1).sum(1)


def log_variance(logits: Tensor) -> Tensor:
    """log rho (1 - rho) of each bit, the shape of the logits."""
    logits = logits.float()
    return F.logsigmoid(logits) + F.logsigmoid(-logits)


def sample_bits(logits: Tensor) -> Tensor:
    """Bits 0 or 1, drawn from the global generator; no gradient goes through."""
    return torch.bernoulli(logits.detach().float().sigmoid())


def straight_through_bits(logits: Tensor) -> Tensor:
    """Bits 0 or 1 with the gradient of their probabilities (a biased estimate).

    Bengio, Leonard & Courville 2013, arXiv:1308.3432, section 4.
    """
    rho = logits.float().sigmoid()
    return sample_bits(logits) + (rho - rho.detach())


def concrete_bits(logits: Tensor, temperature: float) -> Tensor:
    """Values in (0, 1) near bits: sigmoid((logits + log u - log(1 - u)) / temperature).

    u ~ U(0, 1): the binary concrete law (Maddison, Mnih & Teh 2017, arXiv:1611.00712, appendix B;
    Jang, Gu & Poole 2017, arXiv:1611.01144), above 1/2 as often as the bit is 1, and a bit in the
    limit of temperature 0.
    """
    logits = logits.float()
    tiny = torch.finfo(torch.float32).eps
    noise = torch.logit(torch.rand_like(logits), eps=tiny)
    return torch.sigmoid((logits + noise) / temperature)
