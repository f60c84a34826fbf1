"""Settings of the autoencoder."""

from __future__ import annotations

from genbench import DataSpec
from genbench_nets.autoencoder_settings import AutoencoderSettings


class AESettings(AutoencoderSettings):
    """A code without noise, and a mixture on the codes."""

    def check(self, data: DataSpec) -> None:
        """Any shape by the mlp; points by squared error; codes that a mixture can be fitted to."""
        self.check_autoencoder(data, "ae")
