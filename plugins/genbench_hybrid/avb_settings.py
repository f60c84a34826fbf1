"""Settings of adversarial variational Bayes."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, Training
from genbench_nets.coder_settings import CoderSettings


class AVBSettings(CoderSettings):
    """An encoder that takes noise, a decoder, and an adversary that estimates the KL term."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    z_dim: int = Field(10, ge=1, le=4096, description="size of the latent z ~ N(0, I)")
    noise_dim: int = Field(32, ge=1, description="size of the encoder's noise")
    basis: int = Field(
        4, ge=1, description="number of functions of the noise that make up the posterior"
    )
    noise_hidden: int = Field(64, ge=1, description="width of the network that takes the noise")
    adaptive_contrast: bool = Field(
        True,
        description="contrast q(z|x) with a Gaussian of its mean and variance, not with the "
        "prior (section 3.2)",
    )
    t_hidden: tuple[int, ...] = Field(
        (256, 256), min_length=1, description="widths of the adversary T(x, z)"
    )
    t_features: int = Field(64, ge=1, description="size of the features of x in the adversary")
    t_steps: int = Field(
        1, ge=1, le=100, description="steps of the adversary for each step of encoder and decoder"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of encoder and decoder")
    t_lr: float = Field(1e-3, gt=0, description="learning rate of the adversary")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")

    @model_validator(mode="after")
    def _codes_are_vectors(self) -> Self:
        if self.code == "spatial":
            raise ValueError("the latent of avb is a vector; set code=vector")
        return self

    def check(self, data: DataSpec) -> None:
        """Images that the networks fit: the likelihood is Bernoulli."""
        if not data.bounded:
            raise IncompatibleError(
                f"avb takes images, and '{data.name}' has none; use vae with likelihood=gaussian"
            )
        self.check_shape(data, "avb")
