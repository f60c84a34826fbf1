"""Settings and presets of the DCGAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training


class DCGANSettings(ModelSettings):
    """Two convolutional networks; square images of 28 to 64 px."""

    training: ClassVar[Training] = Training(images=480_000, batch_size=128)

    network: Literal["paper", "guo2023"] = Field(
        "paper", description="the paper's networks, or those of guo2023 (28 px only)"
    )
    z_dim: int = Field(100, ge=1, le=4096, description="size of the noise z ~ N(0, I)")
    g_channels: int = Field(
        32, ge=1, le=1024, description="channels before the generator's last layer (paper)"
    )
    d_channels: int = Field(
        32, ge=1, le=1024, description="channels after the discriminator's first layer (paper)"
    )
    n_critic: int = Field(1, ge=1, le=100, description="steps of D for one of G")
    g_lr: float = Field(2e-4, gt=0, description="learning rate of the generator's Adam")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of the discriminator's Adam")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")

    def check(self, data: DataSpec) -> None:
        """Square images whose side halves down to 4, 5, 6 or 7 and is 28 to 64."""
        square = data.is_image and data.shape[1] == data.shape[2]
        side = data.shape[1] if square else 0
        if self.network == "guo2023":
            if side != 28:
                raise IncompatibleError(
                    f"dcgan with network=guo2023 takes square images of 28 px; {data.name} has "
                    f"shape {data.shape}. Try --set network=paper or --set data.size=28."
                )
        elif not 28 <= side <= 64 or side % (8 if side >= 32 else 4):
            raise IncompatibleError(
                f"dcgan takes square images of 28, 32, 40, 48, 56 or 64 px; {data.name} has shape "
                f"{data.shape}. Try --set data.size=32."
            )


PRESETS = (
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.2, MNIST",
        datasets=("mnist",),
        epochs=100,
        batch_size=128,
        settings={
            "network": "guo2023",
            "n_critic": 3,
            "g_lr": 3e-4,
            "d_lr": 3e-4,
            "beta1": 0.9,
        },
        note="not the DCGAN of the paper; its discriminator wins (its loss went to 1e-4)",
    ),
    Preset(
        name="guo2023",
        source="Guo 2023, section 4.2, anime faces, and PyTorch's DCGAN example",
        datasets=("image-folder",),
        epochs=50,
        batch_size=128,
        seed=999,
        settings={"g_channels": 64, "d_channels": 64},
        data={"size": 64},
    ),
)
