"""The contractive autoencoder (Rifai et al. 2011, ICML).

Reconstruction plus lambda ||J||_F^2, J the Jacobian of the code with respect to the sample, a mean
over the batch ("Contractive auto-encoders: explicit invariance during feature extraction"). The
paper's encoder is one sigmoid layer, whose norm has a closed form; ours may be any, and the norm
is exact by one backward pass for each value of the code (``jacobian=exact``), or estimated without
bias by a single one along random signs (``estimate``; see `genbench_nets.contraction`).

The paper ties the decoder's weights to the encoder's, which keeps it from making the code small
and the decoder's weights large instead. Ours are free, so the code is taken in units of its
standard deviation over the batch (``relative``). A sample is the decoding of a draw from a
mixture fitted to the codes (`genbench_nets.ex_post`); the paper has none.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from genbench import DataSpec
from genbench_nets.autoencoder import Autoencoder
from genbench_nets.contraction import contraction
from genbench_vae.cae_settings import CAESettings


def cae(settings: CAESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder whose code resists small changes of the sample."""
    directions = settings.directions(data)

    def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
        norm = contraction(
            model.nets["encoder"], x, directions=directions, relative=settings.relative
        )
        return {
            "reconstruction": model.error(model.encode(x)[0], x),
            "contraction": settings.contraction * norm,
        }

    model = Autoencoder(settings, data, objective, double_backward=True)
    model.mixes_samples = settings.relative
    return model
