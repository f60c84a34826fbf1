"""DCGAN (Radford, Metz & Chintala 2015, arXiv:1511.06434), and the networks of two reports.

The paper's guidelines (section 3): strided instead of pooled, batch normalisation in both networks
but at G's output and D's input, no hidden fully connected layers, ReLU and tanh in G, LeakyReLU
0.2 in D; section 4: weights from N(0, 0.02), Adam 2e-4 with beta1 0.5, batch 128. The paper draws
z from U(-1, 1); with PyTorch's example and guo2023 we draw it from N(0, I).

``network=guo2023`` and ``network=ijzer`` are other convolutional networks, which break most of
these guidelines; they stand here because their authors call them so, or compare them with it.
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.dcgan_settings import DCGANSettings
from genbench_nets.adversarial_networks import Networks, Player
from genbench_nets.dcgan_networks import (
    guo_discriminator,
    guo_generator,
    paper_discriminator,
    paper_generator,
)
from genbench_nets.game import Game, Noise, Rules
from genbench_nets.imagenette_networks import imagenette_discriminator, imagenette_generator
from genbench_nets.players import two_adams


def dcgan(settings: DCGANSettings, data: DataSpec) -> Game:
    """Generator z -> x in [-1, 1], discriminator x -> logit.

    D's batch statistics are of real or of fake images alone.
    """
    settings.check(data)
    s = settings
    return Game(
        _networks(s, data),
        rules=Rules(
            loss="non_saturating",
            n_critic=s.n_critic,
            real_target=1.0 - s.label_smoothing,
            feature_matching=s.feature_matching,
            instance_noise=s.instance_noise,
            augment=s.augment,
        ),
        optimizers=two_adams(d_lr=s.d_lr, g_lr=s.g_lr, beta1=s.beta1),
        latent=Noise(size=s.z_dim),
    )


def _networks(s: DCGANSettings, data: DataSpec) -> Networks:
    """The generator built first."""
    channels = data.shape[0]
    if s.network == "guo2023":
        layers = guo_generator(s.z_dim, channels), guo_discriminator(channels)
    elif s.network == "ijzer":
        generator = imagenette_generator(s.z_dim, channels, s.upsample)
        layers = generator, imagenette_discriminator(channels)
    else:
        generator = paper_generator(data.shape, s.z_dim, s.g_channels, s.upsample)
        layers = generator, paper_discriminator(data.shape, s.d_channels)
    return Networks(generator=Player(*layers[0]), discriminator=Player(*layers[1]))
