"""The conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784).

Both players see the label as a one-hot vector beside their input (section 3.2; planes of an image
in the convolutional networks), so D judges whether x is real *and* of class y. The fake samples of
a minibatch have its real ones' labels. We differ in networks and optimizer: the paper's D has
maxout layers, and both are trained by SGD with a rising momentum.
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.cgan_settings import CGANSettings
from genbench_nets.game import Game, Rules, game


def cgan(settings: CGANSettings, data: DataSpec) -> Game:
    """Generator (z, y) -> x, discriminator (x, y) -> logit."""
    s = settings.fitted(data)
    rules = Rules(loss="non_saturating", real_target=1.0 - s.label_smoothing)
    return game(s, data, rules, classes=data.classes)
