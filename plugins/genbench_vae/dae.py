"""The denoising autoencoder (Vincent et al. 2008, ICML).

It reconstructs a sample from a corrupted copy, the corruption drawn afresh at each step
("Extracting and composing robust features with denoising autoencoders"; Gaussian noise and salt and
pepper are of its JMLR version of 2010). A sample is the decoding of a draw from a mixture fitted to
the codes of the clean training set (`genbench_nets.ex_post`); the paper has no density of them.

With ``walk`` > 0 the sample then takes so many steps of the Markov chain of Bengio et al. 2013,
"Generalized denoising auto-encoders as generative models", arXiv:1305.6663: corrupt, reconstruct.
We differ from it in three points: the chain starts at a decoded draw rather than at a training
sample; a step takes the mean of P(x | corrupted x), where the paper samples from it; and training
is without walkback.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genbench import DataSpec
from genbench_nets.autoencoder import Autoencoder, Walk
from genbench_nets.corruption import corrupted
from genbench_vae.dae_settings import DAESettings


def dae(settings: DAESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder that learns to reconstruct what was corrupted."""
    # Black, or of values that lie anywhere their usual mean.
    black = -1.0 if data.bounded else 0.0

    def corrupt(x: Tensor, noise: Tensor) -> Tensor:
        return corrupted(x, noise, settings.corruption, settings.level, black=black)

    def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
        seen = corrupt(x, torch.randn_like(x))
        return {"reconstruction": model.error(model.encode(seen)[0], x)}

    walk = Walk(steps=settings.walk, corrupt=corrupt) if settings.walk else None
    return Autoencoder(settings, data, objective, walk=walk)
