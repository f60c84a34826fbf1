"""Settings and presets of the latent GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training


class VAEGANSettings(ModelSettings):
    """Stage 1 trains a VAE; stage 2 freezes it and trains a GAN on its latents."""

    training: ClassVar[Training] = Training(images=2_400_000, batch_size=100)
    vae_training: ClassVar[Training] = Training(images=900_000, max_epochs=100)

    vae_epochs: int | None = Field(
        None, ge=1, description="epochs of stage 1; by default those of 900,000 images, 100 at most"
    )
    latent_dim: int = Field(10, ge=1, le=4096, description="size of the VAE's latent")
    vae_hidden: tuple[int, ...] = Field((512, 256), description="widths of the VAE's encoder")
    vae_lr: float = Field(1e-3, gt=0, description="learning rate of stage 1's Adam")
    z_dim: int = Field(64, ge=1, le=4096, description="size of the generator's noise z ~ N(0, I)")
    g_hidden: tuple[int, ...] = Field((256, 256), description="widths of the latent generator")
    d_hidden: tuple[int, ...] = Field((256, 256), description="widths of the latent discriminator")
    latents: Literal["sample", "mean"] = Field(
        "sample", description="real latents: drawn from the posterior at each step, or its mean"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of stage 2's Adams")
    beta1: float = Field(0.5, ge=0, lt=1, description="beta1 of stage 2's Adams")

    def check(self, data: DataSpec) -> None:
        """Images: the decoder gives values in [-1, 1]."""
        if not data.is_image:
            raise IncompatibleError(
                f"vaegan takes images, and '{data.name}' has points; use gan, or vae with "
                "likelihood=gaussian"
            )

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
            "z_dim": 100,
            "lr": 2e-4,
            "beta1": 0.9,
        },
        note="the document gives no sizes for the latent networks: two hidden layers of 256",
    ),
)
