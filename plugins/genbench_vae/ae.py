"""The deterministic autoencoder, sampled from a mixture fitted to its codes.

The code is a bottleneck without noise (Hinton & Salakhutdinov 2006, Science 313). The density is
that of Ghosh et al. 2020, arXiv:1903.12436 (see `genbench_nets.ex_post`); this is the plain
autoencoder of their tables, without their regularisers of the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from genbench import DataSpec
from genbench_nets.autoencoder_settings import AutoencoderSettings

if TYPE_CHECKING:
    from torch import Tensor

    from genbench_nets.autoencoder import Autoencoder


class AESettings(AutoencoderSettings):
    """A code without noise, and a mixture on the codes."""

    def check(self, data: DataSpec) -> None:
        """Any shape by the mlp; points by squared error; codes that a mixture can be fitted to."""
        self.check_autoencoder(data, "ae")


def ae(settings: AESettings, data: DataSpec) -> Autoencoder:
    """An autoencoder that learns to reconstruct."""
    from genbench_nets.autoencoder import Autoencoder

    def objective(model: Autoencoder, x: Tensor) -> Mapping[str, Tensor]:
        """The reconstruction error."""
        return {"reconstruction": model.error(model.encode(x)[0], x)}

    return Autoencoder(settings, data, objective)
