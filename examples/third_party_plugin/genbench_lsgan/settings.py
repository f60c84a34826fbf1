"""The settings; no torch here, so that listings stay fast."""

import genbench


class LSGANSettings(genbench.ModelSettings):
    z_dim: int = 32
    lr: float = 2e-4
