"""Settings and presets of the VAE."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training


class VAESettings(ModelSettings):
    """A Gaussian posterior, a standard normal prior, and a decoder that gives pixel means."""

    training: ClassVar[Training] = Training(images=900_000, max_epochs=100, batch_size=100)

    network: Literal["mlp", "conv"] = Field("mlp", description="kind of encoder and decoder")
    z_dim: int = Field(20, ge=1, le=4096, description="size of the latent")
    hidden: tuple[int, ...] = Field(
        (512, 256), description="widths of the encoder's layers; the decoder mirrors them (mlp)"
    )
    channels: tuple[int, ...] = Field(
        (32, 64), description="channels of the encoder's convolutions, each halves the image (conv)"
    )
    conv_hidden: int = Field(256, ge=1, description="width between convolutions and latent (conv)")
    activation: Literal["relu", "leaky_relu", "elu"] = Field("relu", description="activation (mlp)")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout in the encoder (mlp)")
    likelihood: Literal["bernoulli", "mse"] = Field(
        "bernoulli", description="reconstruction loss, summed over the pixels"
    )
    beta: float = Field(1.0, ge=0, description="weight of the KL term (beta-VAE)")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")

    def check(self, data: DataSpec) -> None:
        """The mlp takes any shape; the conv network square images that halve often enough."""
        if self.network == "mlp":
            return
        factor = 2 ** len(self.channels)
        if not data.is_image or data.shape[1] != data.shape[2] or data.shape[1] % factor:
            raise IncompatibleError(
                f"vae with network=conv and {len(self.channels)} convolutions takes square images "
                f"whose side is a multiple of {factor}; {data.name} has shape {data.shape}. "
                "Try --set network=mlp or other --set channels."
            )


PRESETS = (
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.3",
        datasets=("mnist",),
        epochs=200,
        batch_size=128,
        settings={"z_dim": 2, "hidden": (256,), "lr": 1e-3},
        note="the text says lr 1e-4; the code that gave its numbers uses 1e-3",
    ),
    Preset(
        name="ijzer",
        source="IJzer, VAE and GAN on MNIST and Imagenette, tables 1 and 2",
        datasets=("mnist",),
        epochs=100,
        batch_size=64,
        settings={
            "z_dim": 20,
            "hidden": (1024, 512, 256),
            "activation": "leaky_relu",
            "dropout": 0.3,
            "likelihood": "mse",
            "lr": 2e-4,
        },
        note="its table names no output layer: sigmoid, squared error summed over the pixels",
    ),
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster, and its code base pytorch-mnist-VAE",
        datasets=("mnist", "fashion-mnist"),
        epochs=50,
        batch_size=100,
        settings={"z_dim": 2, "hidden": (512, 256), "lr": 1e-3},
    ),
)
