"""The spectrally normalised GAN (Miyato et al. 2018, arXiv:1802.05957).

Every layer of D is divided by its largest singular value (algorithm 1), which bounds D's slope by
1 whatever the loss: the hinge (eq. 16 and 17) or the standard one (``loss=non_saturating``). Five
steps of D for one of G, both rates falling linearly to 0.
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.sngan_settings import SNGANSettings
from genbench_nets.game import Game, Rules, game


def sngan(settings: SNGANSettings, data: DataSpec) -> Game:
    """Generator z -> x, discriminator x -> score."""
    s = settings.fitted(data)
    return game(s, data, Rules(loss=s.loss), spectral=True)
