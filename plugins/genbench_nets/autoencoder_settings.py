"""Settings that the deterministic autoencoders share."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataSpec, Training
from genbench_nets.ex_post_settings import ExPostSettings


class AutoencoderSettings(ExPostSettings):
    """What is reconstructed and how it is trained."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    loss: Literal["bce", "mse"] = Field(
        "bce",
        description="reconstruction error, summed over the pixels: bce (cross-entropy) or mse "
        "(squared error, the only one for points)",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="schedule of the learning rate over the steps"
    )
    lr_final: float = Field(
        0.02, ge=0, le=1, description="final learning rate as a share of lr (linear, cosine)"
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
