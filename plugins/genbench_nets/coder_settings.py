"""Settings of encoders and decoders, which all autoencoders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings

IMAGENETTE_SIDE = 160
"""The side of the square images that ijzer's convolutional network takes, in pixels."""


def at(default: Any) -> Callable[[Any], bool]:
    """Leave the default out of what is stored: runs from before the setting keep their hash."""
    return lambda value: bool(value == default)


InputRange = Annotated[
    Literal["-1,1", "0,1"],
    Field(
        description="scale of the encoder's input: [-1, 1], as images are, or [0, 1], as in the "
        "reconstruction error",
        exclude_if=at("-1,1"),
    ),
]
"""A setting of every model that encodes images; it changes how fast and how well it learns."""


class CoderSettings(ModelSettings):
    """Sizes of an encoder and of the decoder that mirrors it (see `genbench_nets.coders`)."""

    widths: ClassVar[tuple[str, ...]] = ("hidden", "channels", "conv_hidden")

    network: Literal["mlp", "conv", "ijzer"] = Field(
        "mlp", description="kind of encoder and decoder; ijzer is for 160 px"
    )
    z_dim: int = Field(
        20, ge=1, le=4096, description="size of the latent, or its channels if it is spatial"
    )
    code: Literal["vector", "spatial"] = Field(
        "vector",
        description="latent of network=conv: a vector, or the grid at the end of the convolutions",
        exclude_if=at("vector"),
    )
    input_range: InputRange = "-1,1"
    hidden: tuple[int, ...] = Field(
        (512, 256), description="widths of the encoder's layers; the decoder mirrors them (mlp)"
    )
    channels: tuple[int, ...] = Field(
        (32, 64),
        min_length=1,
        description="channels of the encoder's convolutions; each halves the image (conv)",
    )
    kernel: Literal[3, 4] = Field(
        4, description="side of the convolutions' kernels (conv)", exclude_if=at(4)
    )
    batch_norm: bool = Field(
        False, description="batch normalisation after the convolutions (conv)", exclude_if=at(False)
    )
    conv_hidden: int = Field(256, ge=1, description="width between convolutions and latent (conv)")
    activation: Literal["relu", "leaky_relu", "elu", "tanh"] = Field(
        "relu", description="activation function (mlp)"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the encoder (mlp)")

    def latent_shape(self, data: DataSpec) -> tuple[int, ...]:
        """(z_dim,), or (z_dim, H, W) for spatial codes."""
        if self.code == "vector":
            return (self.z_dim,)
        _, height, width = data.shape
        factor = 2 ** len(self.channels)
        return (self.z_dim, height // factor, width // factor)

    @model_validator(mode="after")
    def _convolutions_for_what_is_made_of_them(self) -> Self:
        if self.code == "spatial" and self.network != "conv":
            raise ValueError("code=spatial belongs to network=conv; set network=conv")
        if self.batch_norm and self.network != "conv":
            raise ValueError(
                "batch_norm=true belongs to network=conv; set network=conv, or batch_norm=false"
            )
        return self

    def check_shape(self, data: DataSpec, model: str) -> None:
        """The mlp takes any shape; conv square images that halve often enough; ijzer 160 px.

        Raises IncompatibleError, which calls the model ``model``.
        """
        if self.input_range == "0,1" and not data.bounded:
            raise IncompatibleError(
                f"{model} with input_range=0,1 takes images, but the values of '{data.name}' are "
                "unbounded; leave input_range out"
            )
        if self.network == "mlp":
            return
        square = data.is_image and data.shape[1] == data.shape[2]
        if self.network == "ijzer":
            if not square or data.shape[1] != IMAGENETTE_SIDE:
                raise IncompatibleError(
                    f"{model} with network=ijzer takes square images of {IMAGENETTE_SIDE} px; "
                    f"{data.name} has shape {data.shape}. Try --set network=conv, or mlp."
                )
            return
        factor = 2 ** len(self.channels)
        if not square or data.shape[1] % factor:
            raise IncompatibleError(
                f"{model} with network=conv and {len(self.channels)} convolutions takes square "
                f"images with a side that is a multiple of {factor}; "
                f"{data.name} has shape {data.shape}. "
                "Try --set network=mlp or other --set channels."
            )


class LabelledCoderSettings(CoderSettings):
    """Those of an encoder and a decoder that see the label of an image too."""

    z_dim: int = Field(
        10, ge=1, le=4096, description="size of the code, or its channels if it is a grid"
    )
    label_first: float = Field(
        0.2,
        ge=0,
        le=1,
        description="share of the steps over which the KL weight falls from 20 times its value, "
        "so that the model learns to use the label before the code",
    )

    def latent_classes(self, data: DataSpec) -> int | None:
        """Every code is decoded with a label."""
        return data.classes
