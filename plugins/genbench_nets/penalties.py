"""Regularisers of adversarial training: penalties on D's gradient, clipping, feature matching.

A gradient penalty differentiates D's score with respect to its input and is itself differentiated
with respect to D's weights, so its phase needs ``compile=False``. Both penalties are per sample:
they mean nothing if one sample's score depends on another sample, as through BatchNorm. Under
autocast D runs in float32 for them: near its optimum the penalty is smaller than the error of
bf16 slopes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Score = Callable[[Tensor], Tensor]
"""Samples (B, ...) -> scores (B,)."""


def gradient_penalty(score: Score, real: Tensor, fake: Tensor) -> Tensor:
    """E (||grad s(x)|| - 1)^2 at random points between real and fake samples, unweighted.

    Eq. 3 of Gulrajani et al. 2017, arXiv:1704.00028: x = e real + (1 - e) fake, one e ~ U[0, 1]
    for each sample.
    """
    share = torch.rand((len(real), *[1] * (real.dim() - 1)), device=real.device)
    between = torch.lerp(fake.detach().float(), real.detach().float(), share)
    slopes: Tensor = _slopes(score, between)[1].norm(dim=1)
    return (slopes - 1.0).square().mean()


def r1_penalty(score: Score, real: Tensor) -> Tensor:
    """E ||grad s(x)||^2 / 2 at real samples, without its weight gamma.

    Eq. 9 of Mescheder et al. 2018, arXiv:1801.04406.
    """
    return scores_and_slopes(score, real)[1]


def scores_and_slopes(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    """The scores (B,) of samples, and E ||grad s(x)||^2 / 2, of one pass.

    The penalty is R1 at real samples, and R2 at generated ones (arXiv:1801.04406, eq. 9 and 10).
    """
    scores, slopes = _slopes(score, x.detach().float())
    return scores, 0.5 * slopes.square().sum(1).mean()


def _slopes(score: Score, x: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and the gradient of each at its sample, flat (B, D), float32, differentiable."""
    x = x.requires_grad_(True)
    with torch.autocast(x.device.type, enabled=False):
        scores = score(x)
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return scores, gradient.flatten(1)


def clip_weights(network: nn.Module, bound: float) -> None:
    """Clip every weight to [-bound, bound], in place (Arjovsky et al. 2017, algorithm 1)."""
    for parameter in network.parameters():
        parameter.clamp_(-bound, bound)


def feature_distance(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """||E f(x) - E f(G(z))||^2 of features (B, ...) at a layer of D.

    Feature matching: section 3.1 of Salimans et al. 2016, arXiv:1606.03498.
    """
    difference = real_features.detach().float().mean(0) - fake_features.float().mean(0)
    return difference.square().sum()
