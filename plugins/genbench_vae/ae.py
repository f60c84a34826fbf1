"""The deterministic autoencoder, sampled by a mixture fitted to its codes.

The codes are those of a bottleneck with no noise in it (Hinton & Salakhutdinov 2006, Science 313);
the density is Ghosh et al. 2020, arXiv:1903.12436 (see `genbench_nets.ex_post`). It is the plain
autoencoder of that paper's tables, without its regularisers of the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from genbench import DataSpec
from genbench_nets.autoencoder import Autoencoder
from genbench_vae.ae_settings import AESettings


def ae(settings: AESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder that learns to reconstruct."""
    return Autoencoder(settings, data, objective)


def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
    """The reconstruction error."""
    return {"reconstruction": model.error(model.encode(x)[0], x)}
