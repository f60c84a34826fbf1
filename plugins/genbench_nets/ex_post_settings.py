"""Settings of an autoencoder with a density that is fitted to its codes after training."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, Training
from genbench_nets.coder_settings import CoderSettings

LARGEST = 256
"""The largest code, in values, for a full covariance: the cost of EM grows with their cube."""


class ExPostSettings(CoderSettings):
    """Encoder, decoder, and the mixture of Gaussians that is fitted to the codes."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    z_dim: int = Field(
        16, ge=1, le=4096, description="size of the code, or its channels if it is spatial"
    )
    components: int = Field(
        50, ge=1, le=10_000, description="number of Gaussians in the mixture fitted to the codes"
    )
    covariance: Literal["full", "diag"] = Field(
        "full",
        description=f"covariance of each Gaussian: full (codes of {LARGEST} values at most), or "
        "diagonal",
    )
    fit_samples: int | None = Field(
        10_000,
        ge=2,
        description="number of random training codes that the mixture is fitted to (none: all)",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="schedule of the learning rate over the steps"
    )
    lr_final: float = Field(
        0.02, ge=0, le=1, description="final learning rate as a share of lr (linear, cosine)"
    )

    def check_density(self, data: DataSpec, model: str) -> None:
        """Raise IncompatibleError, with the name ``model``, if codes are too large."""
        shape = self.latent_shape(data)
        if self.covariance == "full" and prod(shape) > LARGEST:
            raise IncompatibleError(
                f"{model} fits full covariances to codes of {LARGEST} values at most, and its "
                f"codes have {prod(shape)} ({' x '.join(map(str, shape))}); "
                "--set covariance=diag, or a smaller --set z_dim"
            )

    def check_bounded(self, data: DataSpec, model: str, setting: str, value: str) -> None:
        """Raise IncompatibleError if the value of a setting needs data in [-1, 1]."""
        if not data.bounded and value != "mse":
            raise IncompatibleError(
                f"{model} with {setting}={value} takes values in [-1, 1], but those of "
                f"'{data.name}' are unbounded; set {setting}=mse"
            )
