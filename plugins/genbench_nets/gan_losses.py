"""Adversarial losses on logits, a mean over the batch, in float32.

Under autocast the loss itself must stay in float32: with a bfloat16 loss a GAN that trained well
stayed collapsed.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from genbench import MONITOR

GeneratorLoss = Literal["non_saturating", "minimax"]


def real_loss(logits: Tensor) -> Tensor:
    """-log D(x) (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1)."""
    return F.softplus(-logits.float()).mean()


def fake_loss(logits: Tensor) -> Tensor:
    """-log(1 - D(G(z)))."""
    return F.softplus(logits.float()).mean()


def generator_loss(logits: Tensor, kind: GeneratorLoss) -> Tensor:
    """-log D(G(z)), or log(1 - D(G(z))) for ``minimax``, which saturates when D wins."""
    return real_loss(logits) if kind == "non_saturating" else -fake_loss(logits)


def discriminator_terms(real_logits: Tensor, fake_logits: Tensor) -> dict[str, dict[str, Tensor]]:
    """The terms of optimizer ``d``, and D's mean outputs on real and fake to watch it by."""
    return {
        "d": {"real": real_loss(real_logits), "fake": fake_loss(fake_logits)},
        MONITOR: {
            "d_real": real_logits.detach().float().sigmoid().mean(),
            "d_fake": fake_logits.detach().float().sigmoid().mean(),
        },
    }
