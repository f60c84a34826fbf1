"""The Wasserstein GAN (Arjovsky et al. 2017, arXiv:1701.07875).

Algorithm 1: the critic ascends E f(x) - E f(G(z)) five times, its weights clipped to [-c, c] after
each step, then G ascends E f(G(z)); RMSProp for both. Minus the critic's loss estimates, up to a
factor, the Wasserstein-1 distance of data and samples (theorem 3, eq. 3).
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.wgan_settings import WGANSettings
from genbench_nets.game import Game, Rules, game


def wgan(settings: WGANSettings, data: DataSpec) -> Game:
    """Generator z -> x, critic x -> value."""
    s = settings.fitted(data)
    return game(s, data, Rules(loss="wasserstein", clip=s.clip))
