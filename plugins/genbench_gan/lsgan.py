"""The least-squares GAN (Mao et al. 2017, arXiv:1611.04076).

Eq. 9, the 0-1 coding a = 0, b = c = 1: D minimises 1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2 and G
1/2 E (D(G(z)) - 1)^2, so that samples far on the right side still pull. D's output is a plain
value; 0.5 parts real from fake. The paper's networks are convolutional; ours are fully connected
unless ``network=conv``.
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.lsgan_settings import LSGANSettings
from genbench_nets.game import Game, Rules, game


def lsgan(settings: LSGANSettings, data: DataSpec) -> Game:
    """Generator z -> x, discriminator x -> value."""
    s = settings.fitted(data)
    rules = Rules(loss="least_squares", real_target=1.0 - s.label_smoothing)
    return game(s, data, rules)
