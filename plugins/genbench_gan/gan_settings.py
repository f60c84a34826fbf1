"""Settings and presets of the fully connected GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import ModelSettings, Preset, Training


class GANSettings(ModelSettings):
    """Two fully connected networks; any shape of data."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)

    z_dim: int = Field(100, ge=1, le=4096, description="size of the noise z")
    prior: Literal["normal", "uniform"] = Field(
        "normal", description="z ~ N(0, I), or U(-1, 1) in each dimension"
    )
    g_hidden: tuple[int, ...] = Field((256, 512, 1024), description="widths of the generator")
    d_hidden: tuple[int, ...] = Field((1024, 512, 256), description="widths of the discriminator")
    g_activation: Literal["relu", "leaky_relu"] = Field(
        "leaky_relu", description="activation of the generator; the discriminator's is leaky_relu"
    )
    d_dropout: float = Field(0.3, ge=0, lt=1, description="dropout in the discriminator")
    loss: Literal["non_saturating", "minimax"] = Field(
        "non_saturating", description="the generator's loss"
    )
    n_critic: int = Field(1, ge=1, le=100, description="steps of D for one of G")
    g_lr: float = Field(2e-4, gt=0, description="learning rate of the generator's Adam")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of the discriminator's Adam")
    beta1: float = Field(
        0.5, ge=0, lt=1, description="Adam's beta1; at 0.9 it first collapses to one class"
    )


PRESETS = (
    Preset(
        name="lin2023",
        source="Lin et al. 2023, Generate Faster, and its code base pytorch-mnist-GAN",
        datasets=("mnist", "fashion-mnist"),
        epochs=200,
        batch_size=100,
        settings={"beta1": 0.9},
    ),
    Preset(
        name="ijzer",
        source="IJzer, VAE and GAN on MNIST and Imagenette, tables 1 and 2",
        datasets=("mnist",),
        epochs=200,
        batch_size=64,
        settings={"beta1": 0.9},
        note="its table names no output layer: tanh",
    ),
    Preset(
        name="guo2023",
        source="Guo 2023, A Study of Deep Learning Based Generative Models, section 4.1",
        datasets=("mnist",),
        epochs=200,
        batch_size=100,
        settings={
            "z_dim": 64,
            "g_hidden": (256, 256),
            "d_hidden": (256, 256),
            "g_activation": "relu",
            "d_dropout": 0.0,
            "beta1": 0.9,
        },
    ),
)
