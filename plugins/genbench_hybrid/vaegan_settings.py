"""Settings and presets of the latent GAN."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.coder_settings import CoderSettings, InputRange, at


class VAEGANSettings(ModelSettings):
    """Stage 1 trains a VAE; stage 2 freezes it and trains a GAN on its latents."""

    widths: ClassVar[tuple[str, ...]] = (
        "vae_hidden",
        "channels",
        "conv_hidden",
        "g_hidden",
        "latent_channels",
    )
    lengths: ClassVar[tuple[str, ...]] = ("vae_epochs",)

    training: ClassVar[Training] = Training(images=2_400_000, batch_size=100)
    vae_training: ClassVar[Training] = Training(images=900_000, max_epochs=100)

    vae_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs of stage 1; by default as many as 900,000 images take, at most 100",
    )
    network: Literal["mlp", "conv"] = Field(
        "mlp", description="kind of the VAE's encoder and decoder", exclude_if=at("mlp")
    )
    latent_dim: int = Field(
        10, ge=1, le=4096, description="size of the VAE's latent, or its channels if it is spatial"
    )
    code: Literal["vector", "spatial"] = Field(
        "vector",
        description="latent of network=conv: a vector, or the grid at the end of the convolutions",
        exclude_if=at("vector"),
    )
    vae_hidden: tuple[int, ...] = Field((512, 256), description="widths of the VAE's encoder")
    channels: tuple[int, ...] = Field(
        (32, 64),
        min_length=1,
        description="channels of the VAE's convolutions; each halves the image (conv)",
        exclude_if=at((32, 64)),
    )
    batch_norm: bool = Field(
        False,
        description="batch normalisation after the VAE's convolutions (conv)",
        exclude_if=at(False),
    )
    conv_hidden: int = Field(
        256,
        ge=1,
        description="width between convolutions and latent (conv, code=vector)",
        exclude_if=at(256),
    )
    input_range: InputRange = "-1,1"
    vae_lr: float = Field(1e-3, gt=0, description="learning rate of stage 1's Adam")
    z_dim: int = Field(64, ge=1, le=4096, description="size of the generator's noise z ~ N(0, I)")
    g_hidden: tuple[int, ...] = Field((256, 256), description="widths of the latent generator")
    d_hidden: tuple[int, ...] = Field((256, 256), description="widths of the latent discriminator")
    latent_network: Literal["mlp", "conv"] = Field(
        "mlp",
        description="kind of the latent GAN's networks; conv needs code=spatial",
        exclude_if=at("mlp"),
    )
    latent_channels: int = Field(
        32,
        ge=1,
        description="channels of the latent GAN's convolutions (latent_network=conv)",
        exclude_if=at(32),
    )
    latents: Literal["sample", "mean"] = Field(
        "sample", description="real latents: samples of the posterior at each step, or its mean"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam in stage 2")
    beta1: float = Field(0.5, ge=0, lt=1, description="beta1 of Adam in stage 2")

    @model_validator(mode="after")
    def _convolutions_for_what_is_made_of_them(self) -> Self:
        if self.code == "spatial" and self.network == "mlp":
            raise ValueError("code=spatial belongs to network=conv; set network=conv")
        if self.batch_norm and self.network == "mlp":
            raise ValueError("batch_norm=true belongs to network=conv; set network=conv")
        if self.latent_network == "conv" and self.code == "vector":
            raise ValueError("latent_network=conv takes a grid of codes; set code=spatial")
        return self

    def coders(self) -> CoderSettings:
        """Those of the VAE's networks."""
        return CoderSettings.model_validate(
            {
                "network": self.network,
                "z_dim": self.latent_dim,
                "code": self.code,
                "hidden": self.vae_hidden,
                "channels": self.channels,
                "conv_hidden": self.conv_hidden,
                "batch_norm": self.batch_norm,
                "input_range": self.input_range,
            }
        )

    def latent_shape(self, data: DataSpec) -> tuple[int, ...]:
        """(latent_dim,), or (latent_dim, H, W) for spatial codes."""
        return self.coders().latent_shape(data)

    def check(self, data: DataSpec) -> None:
        """Images: the decoder gives values in [-1, 1]. Convolutions must fit their size."""
        if not data.bounded:
            what = "latents" if data.latent else "points"
            raise IncompatibleError(
                f"vaegan takes images, and '{data.name}' has {what}; use gan, or vae with "
                "likelihood=gaussian"
            )
        self.coders().check_shape(data, "vaegan")

    def paced(self, images: int) -> Self:
        """The epochs of stage 1, where they were left open, by the images of one."""
        epochs = self.vae_epochs or self.vae_training.epochs_for(images)
        return self.model_copy(update={"vae_epochs": epochs})

    def stage_one_epochs(self, data: DataSpec) -> int:
        """The epochs of the VAE on this data."""
        return self.vae_epochs or self.vae_training.epochs_for(data.train)


PRESETS = (
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster, and its code base pytorch-mnist-VAE/-GAN",
        datasets=("mnist", "fashion-mnist"),
        epochs=500,
        batch_size=100,
        settings={
            "vae_epochs": 50,
            "latent_dim": 2,
            "vae_hidden": (512, 256),
            "input_range": "0,1",
            "z_dim": 100,
            "lr": 2e-4,
            "beta1": 0.9,
        },
        note="the document gives no sizes for the latent networks: two hidden layers of 256",
    ),
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster (CelebA)",
        datasets=("celeba", "image-folder"),
        epochs=500,
        batch_size=100,
        settings={
            "vae_epochs": 50,
            "network": "conv",
            "channels": (32, 64, 128, 256),
            "batch_norm": True,
            "conv_hidden": 512,
            "input_range": "0,1",
            "latent_dim": 64,
            "z_dim": 100,
            "g_hidden": (512, 512),
            "d_hidden": (512, 512),
            "lr": 2e-4,
            "beta1": 0.9,
        },
        data={"size": 64},
        note="the document names CelebA and gives no sizes at all, and its code base is for 28 px: "
        "the networks are ours (four convolutions with batch normalisation, 64 latents), the "
        "rates and the noise those of its MNIST code",
    ),
)
