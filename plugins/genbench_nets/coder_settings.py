"""Settings of encoders and decoders, which all autoencoders share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings


def at(default: Any) -> Callable[[Any], bool]:
    """Left out of what is stored: runs of before there was this setting keep their hash."""
    return lambda value: bool(value == default)


class CoderSettings(ModelSettings):
    """Sizes of an encoder and of the decoder that mirrors it (see `genbench_nets.coders`)."""

    network: Literal["mlp", "conv"] = Field("mlp", description="kind of encoder and decoder")
    z_dim: int = Field(
        20, ge=1, le=4096, description="size of the latent; of a spatial one, its channels"
    )
    code: Literal["vector", "spatial"] = Field(
        "vector",
        description="the latent of network=conv: a vector, or a grid as the convolutions leave it",
        exclude_if=at("vector"),
    )
    hidden: tuple[int, ...] = Field(
        (512, 256), description="widths of the encoder's layers; the decoder mirrors them (mlp)"
    )
    channels: tuple[int, ...] = Field(
        (32, 64), description="channels of the encoder's convolutions, each halves the image (conv)"
    )
    conv_hidden: int = Field(256, ge=1, description="width between convolutions and latent (conv)")
    activation: Literal["relu", "leaky_relu", "elu", "tanh"] = Field(
        "relu", description="activation (mlp)"
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
    def _spatial_codes_need_convolutions(self) -> Self:
        if self.code == "spatial" and self.network == "mlp":
            raise ValueError("code=spatial belongs to network=conv; set network=conv")
        return self

    def check_shape(self, data: DataSpec, model: str) -> None:
        """The mlp takes any shape; the conv network square images that halve often enough.

        Raises IncompatibleError, which calls the model ``model``.
        """
        if self.network == "mlp":
            return
        factor = 2 ** len(self.channels)
        if not data.is_image or data.shape[1] != data.shape[2] or data.shape[1] % factor:
            raise IncompatibleError(
                f"{model} with network=conv and {len(self.channels)} convolutions takes square "
                f"images whose side is a multiple of {factor}; {data.name} has shape {data.shape}. "
                "Try --set network=mlp or other --set channels."
            )
