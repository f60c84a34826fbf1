"""Settings and presets of Larsen's VAE/GAN."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, Preset, Training
from genbench_nets.coder_settings import CoderSettings
from genbench_nets.labels import check_conditional


class LarsenSettings(CoderSettings):
    """Encoder, decoder and a discriminator; reconstructions are compared in its features."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    architecture: Literal["network", "paper"] = Field(
        "network",
        description="networks of the kind that network names, or those of the paper's table 1",
    )
    z_dim: int = Field(10, ge=1, le=4096, description="size of the latent z ~ N(0, I)")
    hidden: tuple[int, ...] = Field(
        (256,), description="widths of the encoder's layers; the decoder mirrors them (mlp)"
    )
    d_hidden: tuple[int, ...] = Field(
        (512,), min_length=1, description="widths of the discriminator (mlp)"
    )
    d_channels: tuple[int, ...] = Field(
        (32, 64),
        min_length=1,
        description="channels of the discriminator's convolutions; each halves the image (conv)",
    )
    feature_layer: int | None = Field(
        None,
        ge=1,
        description="hidden layer of the discriminator in which reconstructions are compared "
        "(mlp, conv), counted from 1; by default the last",
    )
    gamma: float = Field(
        1.0, gt=0, description="weight of the feature reconstruction in the decoder's loss"
    )
    beta: float = Field(1.0, ge=0, description="weight of the KL term in the encoder's loss")
    adversarial: Literal["minimax", "non_saturating"] = Field(
        "non_saturating",
        description="adversarial loss of the decoder; minimax is that of algorithm 1",
    )
    optimizer: Literal["adam", "rmsprop"] = Field(
        "adam", description="optimizer of all three networks"
    )
    lr: float = Field(3e-3, gt=0, description="learning rate of encoder and decoder")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")
    conditional: bool = Field(
        False, description="give the label to all three networks, as the paper does with attributes"
    )

    @model_validator(mode="after")
    def _networks_fit(self) -> Self:
        if self.code == "spatial":
            raise ValueError("the latent of vaegan-larsen is a vector; set code=vector")
        if self.architecture == "paper" and self.input_range != "-1,1":
            raise ValueError("the networks of the paper see [-1, 1]; leave input_range out")
        if self.layer() > len(self._judged()):
            raise ValueError(
                f"feature_layer = {self.feature_layer}, and the discriminator has "
                f"{len(self._judged())} hidden layers; set a smaller one"
            )
        return self

    def _judged(self) -> tuple[int, ...]:
        return self.d_hidden if self.network == "mlp" else self.d_channels

    def layer(self) -> int:
        """The hidden layer of the discriminator that is compared, from 1."""
        return self.feature_layer or len(self._judged())

    def latent_classes(self, data: DataSpec) -> int | None:
        """The classes of the data if the model is conditional."""
        return data.classes if self.conditional else None

    def check(self, data: DataSpec) -> None:
        """Images with sides that halve often enough; labels if it is conditional."""
        if not data.bounded:
            raise IncompatibleError(
                f"vaegan-larsen takes images, and '{data.name}' has none; use vae with "
                "likelihood=gaussian"
            )
        if self.conditional:
            check_conditional(data, "vaegan-larsen")
        if self.architecture == "network":
            self.check_shape(data, "vaegan-larsen")
            self._check_discriminator(data)
        elif data.shape[1] % 8 or data.shape[2] % 8:
            raise IncompatibleError(
                f"the networks of the paper take sides that are multiples of 8, and '{data.name}' "
                f"has shape {data.shape}; set data.size=64 or architecture=network"
            )

    def _check_discriminator(self, data: DataSpec) -> None:
        if self.network == "conv" and data.shape[1] >> len(self.d_channels) == 0:
            raise IncompatibleError(
                f"{len(self.d_channels)} d_channels halve the images of '{data.name}', "
                f"{data.shape}, too often; set fewer"
            )


PRESETS = (
    Preset(
        name="larsen2016",
        source="Larsen, Sønderby, Larochelle & Winther 2016, arXiv:1512.09300, table 1, and the "
        "authors' code (64 px, weight and layer of the reconstruction)",
        datasets=("celeba", "image-folder"),
        batch_size=64,
        settings={
            "architecture": "paper",
            "z_dim": 128,
            "gamma": 1e-6,
            "adversarial": "minimax",
            "optimizer": "rmsprop",
            "lr": 3e-4,
            "d_lr": 3e-4,
        },
        data={"size": 64},
        note="the paper prints no gamma: 1e-6 is w / (1 - w) for the weight w = 1e-6 of the "
        "authors' code, which also pauses a network that wins and leaves reconstructions out of "
        "D's loss; the paper has neither",
    ),
)
