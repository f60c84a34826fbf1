"""Adversarial losses on scores, a mean over the batch, in float32.

A score rises with realness: a logit for the losses of Goodfellow et al., a plain value for least
squares, hinge and Wasserstein, minus an energy for an energy-based GAN. Under autocast the loss
itself must stay in float32: with a bfloat16 loss a GAN that trained well stayed collapsed.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from genbench import MONITOR
from genbench_nets.adversarial_settings import AdversarialLoss

LOGIT_LOSSES: tuple[AdversarialLoss, ...] = ("non_saturating", "minimax")
"""The losses whose score is a logit of 'real'."""

THRESHOLDS: dict[AdversarialLoss, float | None] = {
    "non_saturating": 0.0,
    "minimax": 0.0,
    "hinge": 0.0,
    "least_squares": 0.5,
    "wasserstein": None,
}
"""Scores above it are called real; a critic's zero means nothing, so it has none."""


def real_loss(logits: Tensor, target: float = 1.0) -> Tensor:
    """-log D(x) (Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1).

    A ``target`` t below 1 smooths the label: -t log D(x) - (1 - t) log(1 - D(x)) (Salimans et al.
    2016, arXiv:1606.03498, section 3.4).
    """
    logits = logits.float()
    if target == 1.0:
        return F.softplus(-logits).mean()
    return F.softplus(-logits).mean() + (1.0 - target) * logits.mean()


def fake_loss(logits: Tensor) -> Tensor:
    """-log(1 - D(G(z)))."""
    return F.softplus(logits.float()).mean()


def generator_loss(scores: Tensor, loss: AdversarialLoss = "non_saturating") -> Tensor:
    """What G minimises, of D's scores (B,) on its samples.

    - non_saturating: -log D(G(z)); minimax: log(1 - D(G(z))), which saturates when D wins;
    - least_squares: (s - 1)^2 / 2 (Mao et al. 2017, arXiv:1611.04076, eq. 9: c = 1);
    - hinge (Miyato et al. 2018, arXiv:1802.05957, eq. 17) and wasserstein (Arjovsky et al. 2017,
      arXiv:1701.07875, eq. 3): -s.
    """
    scores = scores.float()
    if loss == "non_saturating":
        return real_loss(scores)
    if loss == "minimax":
        return -fake_loss(scores)
    if loss == "least_squares":
        return 0.5 * (scores - 1.0).square().mean()
    return -scores.mean()


def discriminator_losses(
    real_scores: Tensor,
    fake_scores: Tensor,
    loss: AdversarialLoss = "non_saturating",
    *,
    real_target: float = 1.0,
) -> dict[str, Tensor]:
    """What D minimises, the terms ``real`` and ``fake``; the sources are those of G's losses.

    - non_saturating, minimax: -log D(x), -log(1 - D(G(z)));
    - least_squares: (s - 1)^2 / 2, s^2 / 2 (a = 0, b = 1);
    - hinge (eq. 16): max(0, 1 - s), max(0, 1 + s);
    - wasserstein: -s, s.

    ``real_target``, one-sided label smoothing, stands in for the 1 of logits and least squares.
    """
    real, fake = real_scores.float(), fake_scores.float()
    if loss in LOGIT_LOSSES:
        return {"real": real_loss(real, real_target), "fake": fake_loss(fake)}
    if loss == "least_squares":
        return {
            "real": 0.5 * (real - real_target).square().mean(),
            "fake": 0.5 * fake.square().mean(),
        }
    if loss == "hinge":
        return {"real": F.relu(1.0 - real).mean(), "fake": F.relu(1.0 + fake).mean()}
    return {"real": -real.mean(), "fake": fake.mean()}


def discriminator_terms(
    real_scores: Tensor,
    fake_scores: Tensor,
    loss: AdversarialLoss = "non_saturating",
    *,
    real_target: float = 1.0,
) -> dict[str, dict[str, Tensor]]:
    """The terms of optimizer ``d``, and the `monitors` to watch it by."""
    return {
        "d": discriminator_losses(real_scores, fake_scores, loss, real_target=real_target),
        MONITOR: monitors(
            real_scores, fake_scores, threshold=THRESHOLDS[loss], logits=loss in LOGIT_LOSSES
        ),
    }


def monitors(
    real_scores: Tensor,
    fake_scores: Tensor,
    *,
    threshold: float | None = 0.0,
    logits: bool = False,
) -> dict[str, Tensor]:
    """``d_real``, ``d_fake`` and ``d_accuracy`` of scores (B,) that rise with realness.

    The first two are means of the scores, or of D(x) in [0, 1] where they are ``logits``.
    ``d_accuracy`` is the share of real samples above and of fake ones below the ``threshold``,
    each half of it; None, for critics and energies, is the midpoint of the two means.
    """
    real, fake = real_scores.detach().float(), fake_scores.detach().float()
    bound = 0.5 * (real.mean() + fake.mean()) if threshold is None else threshold
    right = 0.5 * ((real > bound).float().mean() + (fake < bound).float().mean())
    seen = (real.sigmoid(), fake.sigmoid()) if logits else (real, fake)
    return {"d_real": seen[0].mean(), "d_fake": seen[1].mean(), "d_accuracy": right}
