"""The adversarial losses of logits, and the values by which a discriminator is monitored.

A score rises with realness. Under autocast the loss itself must stay in float32: with a bfloat16
loss a GAN that trained well stayed collapsed.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def real_loss(logits: Tensor, target: float = 1.0) -> Tensor:
    """-log D(x), a mean over logits (B,) (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

    A ``target`` t below 1 is one-sided label smoothing: -t log D(x) - (1 - t) log(1 - D(x))
    (Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    """
    logits = logits.float()
    if target == 1.0:
        return F.softplus(-logits).mean()
    return F.softplus(-logits).mean() + (1.0 - target) * logits.mean()


def fake_loss(logits: Tensor) -> Tensor:
    """-log(1 - D(G(z))), a mean over logits (B,)."""
    return F.softplus(logits.float()).mean()


def monitors(
    real_scores: Tensor, fake_scores: Tensor, *, threshold: float | None = 0.0, logits: bool = False
) -> dict[str, Tensor]:
    """``d_real``, ``d_fake`` and ``d_accuracy`` of scores (B,) that rise with realness.

    The first two are means of the scores, or of D(x) in [0, 1] if they are ``logits``.
    ``d_accuracy`` is the share of real samples above and of fake ones below the ``threshold``,
    each weighted by half; without a threshold, as for critics and energies, it is the midpoint of
    the two means.
    """
    real, fake = real_scores.detach().float(), fake_scores.detach().float()
    bound = 0.5 * (real.mean() + fake.mean()) if threshold is None else threshold
    right = 0.5 * ((real > bound).float().mean() + (fake < bound).float().mean())
    seen = (real.sigmoid(), fake.sigmoid()) if logits else (real, fake)
    return {"d_real": seen[0].mean(), "d_fake": seen[1].mean(), "d_accuracy": right}
