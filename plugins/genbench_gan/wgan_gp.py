"""The Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

Algorithm 1: five critic steps on E f(G(z)) - E f(x) + 10 E (||grad f(x^)|| - 1)^2 (eq. 3), x^ at
random between a real and a fake sample, then one step of G. No batch normalisation in the critic,
for the penalty is one sample's (section 4). Algorithm 1 has Adam's betas at (0, 0.9); the code of
its MNIST experiment, which we follow, at (0.5, 0.9).
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.wgan_gp_settings import WGANGPSettings
from genbench_nets.game import Game, Rules, game


def wgan_gp(settings: WGANGPSettings, data: DataSpec) -> Game:
    """Generator z -> x, critic x -> value."""
    s = settings.fitted(data)
    return game(s, data, Rules(loss="wasserstein", gradient_penalty=s.gradient_penalty))
