"""Settings of the adversarial autoencoder."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, Training
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.labels import check_conditional


class AAESettings(CoderSettings):
    """An autoencoder, and a discriminator that tells its codes from draws of the prior."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    z_dim: int = Field(10, ge=1, le=4096, description="size of the latent z ~ N(0, I)")
    posterior: Literal["deterministic", "gaussian"] = Field(
        "deterministic", description="q(z|x): a point, or a diagonal Gaussian (section 2)"
    )
    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli",
        description="reconstruction error, summed over the pixels: cross-entropy or squared error",
    )
    d_hidden: tuple[int, ...] = Field(
        (256, 256), description="widths of the discriminator of codes"
    )
    adversarial: float = Field(
        10.0,
        gt=0,
        description="weight of the encoder's adversarial loss, in units of the reconstruction "
        "error",
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of encoder and decoder")
    d_lr: float = Field(1e-3, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")
    conditional: bool = Field(
        False, description="give the label to the decoder, so that z holds the style (section 4)"
    )
    judge_labels: bool = Field(
        False,
        description="give the label to the discriminator of codes (section 2.3); needs "
        "conditional=true",
    )

    @model_validator(mode="after")
    def _labels_to_judge_are_there(self) -> Self:
        if self.judge_labels and (self.code == "spatial" or not self.conditional):
            raise ValueError(
                "judge_labels=true needs a conditional model with vectors as codes; set "
                "conditional=true and code=vector"
            )
        return self

    def latent_classes(self, data: DataSpec) -> int | None:
        """The classes of the data if the model is conditional."""
        return data.classes if self.conditional else None

    def check(self, data: DataSpec) -> None:
        """Images that the networks fit; labels if it is conditional."""
        if not data.bounded:
            raise IncompatibleError(
                f"aae takes images, and '{data.name}' has none; use vae with likelihood=gaussian"
            )
        if self.conditional:
            check_conditional(data, "aae")
        self.check_shape(data, "aae")
