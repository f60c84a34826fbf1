"""Settings that the deterministic autoencoders share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from genbench import DataSpec
from genbench_nets.ex_post_settings import ExPostSettings


class AutoencoderSettings(ExPostSettings):
    """What a deterministic autoencoder reconstructs."""

    loss: Literal["bce", "mse"] = Field(
        "bce",
        description="reconstruction error, summed over the pixels: bce (cross-entropy) or mse "
        "(squared error, the only one for points)",
    )

    def fitted(self, data: DataSpec) -> Self:
        """On the codes of another model, the squared error unless a loss is set."""
        if data.latent and "loss" not in self.model_fields_set:
            return self.model_copy(update={"loss": "mse"})
        return self

    def check_autoencoder(self, data: DataSpec, model: str) -> None:
        """Raise IncompatibleError, with the name ``model``, if the data doesn't fit."""
        self.check_shape(data, model)
        self.check_bounded(data, model, "loss", self.loss)
        self.check_density(data, model)
