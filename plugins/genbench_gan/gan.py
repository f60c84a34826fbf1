"""The generative adversarial network (Goodfellow et al. 2014, arXiv:1406.2661).

Algorithm 1: D ascends log D(x) + log(1 - D(G(z))), then G, on fresh noise, ascends log D(G(z))
(section 3's non-saturating form) or descends log(1 - D(G(z))) (``loss=minimax``). Its settings
offer the losses and regularisers of the later papers too, in any combination that makes sense;
`genbench_nets.gan_losses` and `genbench_nets.regularisers` name their sources.
"""

from __future__ import annotations

from genbench import DataSpec
from genbench_gan.gan_settings import GANSettings
from genbench_nets.game import Game, Rules, game


def gan(settings: GANSettings, data: DataSpec) -> Game:
    """Generator z -> x, discriminator x -> logit or score, by the chosen rules."""
    s = settings.fitted(data)
    rules = Rules(
        loss=s.loss,
        real_target=1.0 - s.label_smoothing,
        clip=s.clip,
        gradient_penalty=s.gradient_penalty,
        r1=s.r1,
        r1_every=s.r1_every,
        feature_matching=s.feature_matching,
    )
    return game(s, data, rules, spectral=s.spectral_norm)
