"""R3GAN (Huang, Gokaslan, Kuleshov & Tompkin 2024, arXiv:2501.05441): a baseline without tricks.

The loss compares a real and a generated sample of the same place in the minibatch (section 2.1):
L_D = E f(D(G(z)) - D(x)) and L_G = E f(D(x) - D(G(z))) with f = softplus, and D has the
zero-centred penalties R1 and R2, gamma / 2 E ||grad D||^2 at real and at generated samples, which
give it local convergence (section 2.2). gamma and both learning rates fall as cosines over the run,
Adam's beta1 is 0, and no network has a normalisation. Ours ends in a tanh, as samples must be in
[-1, 1]; beta2 is constant.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import MONITOR, Batch, DataSpec, Schedule, Terms
from genbench_gan.r3gan_settings import R3GANSettings
from genbench_nets.adversarial_losses import monitors
from genbench_nets.adversarial_model import AdversarialModel
from genbench_nets.adversarial_networks import Networks, dense_layers
from genbench_nets.adversarial_training import alternating_phases, two_adams
from genbench_nets.conv import halvings
from genbench_nets.labelled_sequential import LabelledSequential
from genbench_nets.mlp import Unflatten, flat_size
from genbench_nets.penalties import scores_and_slopes


def r3gan(settings: R3GANSettings, data: DataSpec) -> AdversarialModel:
    """Generator z -> x, discriminator x -> score, of which only differences have a meaning."""
    settings.check(data)
    s = settings.fitted(data)
    model = AdversarialModel(
        (residual_networks if s.network == "residual" else dense_networks)(s, data),
        optimizers=two_adams(
            d_lr=s.lr,
            g_lr=s.lr,
            beta1=0.0,
            beta2=s.beta2,
            schedule=Schedule(kind="cosine", final=s.final_lr / s.lr),
        ),
        z_dim=s.z_dim,
        augment=s.augment,
    )

    def d_loss(batch: Batch) -> Terms:
        """E softplus(D(G(z)) - D(x)) + gamma (R1 + R2), a half being part of R1 and of R2."""
        real, fake = model.real_and_fake(batch)
        real_scores, r1 = scores_and_slopes(model.discriminate, real)
        fake_scores, r2 = scores_and_slopes(model.discriminate, fake)
        weight = gamma(s, batch)
        return {
            "d": {
                "relativistic": F.softplus(fake_scores - real_scores).mean(),
                "r1": weight * r1,
                "r2": weight * r2,
            },
            MONITOR: monitors(real_scores, fake_scores, threshold=None),
        }

    def g_loss(batch: Batch) -> Terms:
        """E softplus(D(x) - D(G(z))), on fresh noise."""
        with torch.no_grad():
            real_scores = model.discriminate(model.seen(batch.x, batch)).float()
        return {"g": {"relativistic": F.softplus(real_scores - model.fake_scores(batch)).mean()}}

    # The penalties are differentiated twice, which torch.compile does not support.
    return model.trained_by(*alternating_phases(d_loss, g_loss, compile_d=False))


def gamma(s: R3GANSettings, batch: Batch) -> float:
    """The weight of the penalties at this step: a cosine from ``gamma`` to ``final_gamma``."""
    left = 0.5 * (1 + math.cos(math.pi * batch.step / batch.steps))
    return s.final_gamma + (s.gamma - s.final_gamma) * left


# --- networks ---------------------------------------------------------------------------------


def residual_networks(s: R3GANSettings, data: DataSpec) -> Networks:
    """The paper's networks (section 3.5): a learned basis of 4x4 (28 px: 7x7), then doublings."""
    steps, grid = halvings(data.shape[1]) or (1, data.shape[1] // 2)
    width, planes = s.channels, data.shape[0]
    count = s.blocks * (steps + 1)

    def blocks() -> list[nn.Module]:
        return [ResidualBlock(s, count) for _ in range(s.blocks)]

    up: list[nn.Module] = [Basis(s.z_dim, width, grid), *blocks()]
    down: list[nn.Module] = [scaled(nn.Conv2d(planes, width, 1)), *blocks()]
    for _ in range(steps):
        up += [Doubled(), *blocks()]
        down += [Halved(), *blocks()]
    squash = [nn.Tanh()] if data.bounded else []
    head = scaled(nn.Linear(width, 1, bias=False))
    return Networks(
        generator=LabelledSequential(*up, scaled(nn.Conv2d(width, planes, 1)), *squash),
        discriminator=LabelledSequential(*down, WeightedSum(width, grid), head),
    )


def dense_networks(s: R3GANSettings, data: DataSpec) -> Networks:
    """Fully connected networks, which the paper does not have, for points, latents and images."""
    size = flat_size(data.shape)
    squash = [nn.Tanh()] if data.bounded else []
    shaped = [Unflatten(data.shape)] if data.is_image else []
    up, down = dense_layers((s.z_dim, *s.hidden)), dense_layers((size, *s.hidden))
    last = nn.Linear(s.hidden[-1], size)
    return Networks(
        generator=LabelledSequential(*up, last, *squash, *shaped),
        discriminator=LabelledSequential(
            nn.Flatten(), *down, nn.Linear(s.hidden[-1], 1, bias=False)
        ),
    )


class ResidualBlock(nn.Module):
    """x + 1x1 -> LeakyReLU -> grouped 3x3 -> LeakyReLU -> 1x1, with more channels in the middle.

    Fix-up initialisation (Zhang et al. 2019, arXiv:1901.09321): the last convolution starts at 0,
    and the others are smaller by L^(-1/4) in a network of L such blocks of three layers.
    """

    def __init__(self, s: R3GANSettings, blocks: int) -> None:
        super().__init__()
        width, gain = s.channels * s.expansion, blocks**-0.25
        groups = width // s.group
        self.wide = scaled(nn.Conv2d(s.channels, width, 1), gain)
        self.grouped = scaled(nn.Conv2d(width, width, 3, padding=1, groups=groups), gain)
        self.narrow = scaled(nn.Conv2d(width, s.channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape (B, C, H, W)."""
        y = F.leaky_relu(self.wide(x), 0.2)
        y = F.leaky_relu(self.grouped(y), 0.2)
        narrow: Tensor = self.narrow(y)
        return x + narrow


class Basis(nn.Module):
    """z (B, z_dim) -> (B, C, grid, grid): a learned map for each channel, times a value from z."""

    def __init__(self, z_dim: int, channels: int, grid: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, grid, grid))
        self.values = scaled(nn.Linear(z_dim, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        """The maps, weighted."""
        weights: Tensor = self.values(z)
        return weights[:, :, None, None] * self.maps


class WeightedSum(nn.Module):
    """(B, C, grid, grid) -> (B, C): each channel weighted by a learned map, and summed."""

    def __init__(self, channels: int, grid: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, grid, grid) / grid)

    def forward(self, x: Tensor) -> Tensor:
        """The sums."""
        return (x * self.maps).sum((2, 3))


class Doubled(nn.Module):
    """Twice the sides: new pixels between the old ones, smoothed by [1, 2, 1] / 2.

    Repeated pixels, averaged by [1, 1] / 2, are the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        return averaged(F.pad(F.interpolate(x, scale_factor=2), (0, 1, 0, 1), mode="replicate"))


class Halved(nn.Module):
    """Half the sides: smoothed by [1, 2, 1] / 4, which is [1, 1] / 2 twice, every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        wider = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return averaged(averaged(wider))[..., ::2, ::2]


def averaged(x: Tensor) -> Tensor:
    """The means of 2x2 neighbours, (B, C, H - 1, W - 1).

    On a CPU, sums have a faster second derivative than pooling, or convolutions of each channel
    [a step of D at 28 px: 0.88 s with pooling].
    """
    x = x[..., 1:, :] + x[..., :-1, :]
    return (x[..., 1:] + x[..., :-1]) * 0.25


def scaled(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """The layer with weights of variance gain^2 2 / inputs (He et al. 2015), biases at 0."""
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    nn.init.kaiming_normal_(layer.weight, a=0.2)
    with torch.no_grad():
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
