"""Settings that the GANs with an autoencoder for a discriminator share. No torch here."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings, Training
from genbench_nets.adversarial_settings import SIDES, Sizes, has_side

SIZES: Sizes = {
    "image": {"z_dim": 64, "g_hidden": (256, 512), "d_hidden": (256,), "code": 32},
    "points": {"z_dim": 4, "g_hidden": (128, 128), "d_hidden": (128, 128), "code": 2},
    "latents": {"z_dim": 64, "g_hidden": (256, 256), "d_hidden": (256,), "code": 8},
}
"""Defaults that depend on the data."""


def _kind(data: DataSpec) -> Literal["image", "points", "latents"]:
    if data.latent:
        return "latents"
    return "image" if data.is_image else "points"


class EnergySettings(ModelSettings):
    """A generator and an autoencoder. The data decides the settings that are None."""

    widths: ClassVar[tuple[str, ...]] = ("g_hidden", "channels")

    point_training: ClassVar[Training] = Training(images=5_000_000, batch_size=256)
    sizes: ClassVar[Sizes] = SIZES

    network: Literal["mlp", "conv"] = Field(
        "mlp",
        description="fully connected, for any data, or BEGAN's convolutions (conv: 28, 32, 64 px)",
    )
    z_dim: int | None = Field(
        None, ge=1, le=4096, description="size of the noise z; by default 64, or 4 for points"
    )
    prior: Literal["normal", "uniform"] = Field(
        "normal", description="z ~ N(0, I), or U(-1, 1) in each dimension"
    )
    g_hidden: tuple[int, ...] | None = Field(
        None, min_length=1, description="widths of the generator (mlp)"
    )
    d_hidden: tuple[int, ...] | None = Field(
        None, min_length=1, description="widths of the encoder; the decoder mirrors them (mlp)"
    )
    channels: int = Field(16, ge=1, le=1024, description="channels of both networks (conv)")
    code: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="size of the code; by default 32, 8 for latents, or 2 for points",
    )
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator's Adam")
    d_lr: float = Field(1e-3, gt=0, description="learning rate of the discriminator's Adam")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the sizes filled in; conv networks have no widths of an mlp."""
        sizes = {
            name: value
            for name, value in self.sizes[_kind(data)].items()
            if self.network == "mlp" or name not in ("g_hidden", "d_hidden")
        }
        left = {name: value for name, value in sizes.items() if getattr(self, name) is None}
        return self.model_copy(update=left)

    def training_on(self, data: DataSpec) -> Training:
        """Points take many cheap steps."""
        return self.point_training if _kind(data) == "points" else super().training_on(data)

    def check(self, data: DataSpec) -> None:
        """The mlp takes any shape; the conv networks square images that halve to 4 or 7."""
        if self.network == "conv" and not has_side(data, SIDES):
            raise IncompatibleError(
                f"network=conv takes square images of 28, 32 or 64 px, and '{data.name}' has shape "
                f"{data.shape}; set network=mlp" + (" or data.size=32" if data.bounded else "")
            )

    @model_validator(mode="after")
    def _widths_of_the_network(self) -> Self:
        if self.network == "conv" and (self.g_hidden or self.d_hidden):
            raise ValueError(
                "g_hidden and d_hidden belong to network=mlp; with network=conv set channels"
            )
        return self
