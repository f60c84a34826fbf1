"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434), and the networks of guo2023.

The paper's guidelines (section 3): strided instead of pooled, batch normalisation in both networks
but at G's output and D's input, no hidden fully connected layers, ReLU and tanh in G, LeakyReLU
0.2 in D; section 4: weights from N(0, 0.02), Adam 2e-4 with beta1 0.5, batch 128. The paper draws
z from U(-1, 1); with PyTorch's example and guo2023 we draw it from N(0, I). For images other than
64 px the number of halvings follows the size: 28 -> 14 -> 7, 32 -> 16 -> 8 -> 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genbench import Batch, DataSpec, Optimizer, Stage, Terms
from genbench_gan.dcgan_settings import DCGANSettings
from genbench_nets.conv import halvings
from genbench_nets.gan_losses import discriminator_terms, generator_loss
from genbench_nets.mlp import Unflatten
from genbench_nets.players import in_turns, two_adams
from genbench_nets.priors import draw_prior


class DCGAN:
    """Generator z -> x in [-1, 1], discriminator x -> logit."""

    averaged = ("generator",)

    def __init__(self, settings: DCGANSettings, data: DataSpec) -> None:
        settings.check(data)
        self.settings = settings
        if settings.network == "guo2023":
            generator, discriminator = _guo_networks(settings.z_dim, data.shape[0])
        else:
            generator = paper_generator(data.shape, settings.z_dim, settings.g_channels)
            discriminator = paper_discriminator(data.shape, settings.d_channels)
        self.nets = nn.ModuleDict({"generator": generator, "discriminator": discriminator})

    def optimizers(self) -> Mapping[str, Optimizer]:
        """Adam for each player."""
        s = self.settings
        return two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1)

    def stages(self) -> tuple[Stage, ...]:
        """D moves ``n_critic`` times, then G once."""
        phases = in_turns(self.d_loss, self.g_loss, n_critic=self.settings.n_critic)
        return (Stage(name="train", phases=phases),)

    def d_loss(self, batch: Batch) -> Terms:
        """-log D(x) - log(1 - D(G(z))); D's batch statistics are of real or fake alone."""
        with torch.no_grad():
            fake = self.nets["generator"](self.prior(len(batch)))
        real_logits, fake_logits = self.discriminate(batch.x), self.discriminate(fake)
        return discriminator_terms(real_logits, fake_logits)

    def g_loss(self, batch: Batch) -> Terms:
        """-log D(G(z)) on fresh noise."""
        logits = self.discriminate(self.nets["generator"](self.prior(len(batch))))
        return {"g": {"adversarial": generator_loss(logits, "non_saturating")}}

    def prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), (n, z_dim)."""
        return draw_prior(self.nets, (n, self.settings.z_dim), generator)

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """G(z), (B, C, H, W) in [-1, 1]."""
        image: Tensor = self.nets["generator"](z)
        return image.float()

    def render(self, h: Tensor) -> Tensor:
        """The image is what is judged."""
        return h

    def discriminate(self, h: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of 'real'."""
        logits: Tensor = self.nets["discriminator"](h)
        return logits.flatten()


def paper_generator(shape: tuple[int, ...], z_dim: int, channels: int) -> nn.Sequential:
    """(B, z_dim) -> (B, *shape): project to the smallest grid, then double it up to the image."""
    steps, grid = halvings(shape[1]) or (0, 0)
    width = channels << (steps - 1)
    layers: list[nn.Module] = [
        Unflatten((z_dim, 1, 1)),
        nn.ConvTranspose2d(z_dim, width, grid, 1, 0, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]
    for _ in range(steps - 1):
        layers += [
            nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
        ]
        width //= 2
    layers += [nn.ConvTranspose2d(width, shape[0], 4, 2, 1, bias=False), nn.Tanh()]
    return _initialised(nn.Sequential(*layers))


def paper_discriminator(shape: tuple[int, ...], channels: int) -> nn.Sequential:
    """(B, *shape) -> (B, 1, 1, 1): halve the image down to the smallest grid, then one value."""
    steps, grid = halvings(shape[1]) or (0, 0)
    width = channels
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], width, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
    ]
    for _ in range(steps - 1):
        layers += [
            nn.Conv2d(width, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.LeakyReLU(0.2),
        ]
        width *= 2
    layers.append(nn.Conv2d(width, 1, grid, 1, 0, bias=False))
    return _initialised(nn.Sequential(*layers))


def _initialised(network: nn.Sequential) -> nn.Sequential:
    for module in network:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return network


def _guo_networks(z_dim: int, image_channels: int) -> tuple[nn.Module, nn.Module]:
    """The pair of guo2023's MNIST run; kernel sizes, which it leaves out, are the usual 5 and 3."""
    generator = nn.Sequential(
        nn.Linear(z_dim, 56 * 56),
        Unflatten((1, 56, 56)),
        nn.BatchNorm2d(1),
        nn.ReLU(),
        nn.Conv2d(1, 64, 3, 1, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 32, 3, 1, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, image_channels, 2, 2, 0),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(image_channels, 32, 5, 1, 2),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, 1, 2),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 1024),
        nn.LeakyReLU(0.2),
        nn.Linear(1024, 1),
    )
    return generator, discriminator
