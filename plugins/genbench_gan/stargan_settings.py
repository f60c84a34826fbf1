"""Settings and presets of StarGAN."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.labels import check_labelled

SMALLEST = 4
"""The smallest side of images and of grids of codes, in pixels or places."""


class StarGANSettings(ModelSettings):
    """One generator for all domains, and a discriminator that also classifies; labelled data.

    The defaults are for minutes of training on images of about 28 pixels; the preset ``choi2018``
    has the paper's. The cycle loss is a mean over values, so the norm of its gradient with respect
    to a sample is cycle_weight / sqrt(values): the paper's weight of 10 at 128x128x3 pixels
    corresponds to 1.3 at 28x28.
    """

    training: ClassVar[Training] = Training(images=150_000, batch_size=32)
    latent_training: ClassVar[Training] = Training(images=200_000, batch_size=64)

    network: Literal["auto", "conv", "mlp"] = Field(
        "auto",
        description="convolutional, or fully connected for codes; auto: conv for images and grids "
        "of codes, mlp for vectors",
    )
    g_channels: int = Field(
        8, ge=1, le=1024, description="channels after the generator's first layer (conv)"
    )
    g_kernel: Literal[3, 5, 7] = Field(
        3, description="side of the generator's first and last kernels (conv)"
    )
    g_blocks: int = Field(2, ge=0, le=64, description="residual blocks of the generator (conv)")
    g_halvings: int | None = Field(
        None,
        ge=0,
        le=6,
        description="convolutions of the generator that halve the image (conv); by default 2 for "
        "images, 0 for codes",
    )
    d_channels: int = Field(
        24, ge=1, le=1024, description="channels after the discriminator's first layer (conv)"
    )
    d_halvings: int | None = Field(
        None,
        ge=1,
        le=8,
        description="convolutions of the discriminator that halve the image (conv); by default "
        "as many as leave 2 or 3 patches along the smaller side",
    )
    hidden: tuple[int, ...] = Field(
        (256, 256), min_length=1, description="widths of both fully connected networks (mlp)"
    )
    class_weight: float = Field(
        1.0, ge=0, description="weight of the classification of real and of translated samples"
    )
    cycle_weight: float | None = Field(
        None,
        ge=0,
        description="weight of the distance between x and its translation back; by default 2 "
        "for images, 1 for codes",
    )
    gradient_penalty: float = Field(
        10.0, gt=0, description="weight of (|gradient| - 1)^2 between real and fake samples"
    )
    n_critic: int = Field(
        2, ge=1, le=100, description="steps of the discriminator for each step of the generator"
    )
    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's beta2")
    hold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of the steps after which the learning rates fall linearly to 0",
    )

    def fitted(self, data: DataSpec) -> Self:
        """These settings with the kind of network and its depths filled in."""
        network = self.network
        if network == "auto":
            network = "conv" if data.is_image else "mlp"
        left: dict[str, float] = {"cycle_weight": 2.0 if data.bounded else 1.0}
        if network == "conv" and data.is_image:
            left["g_halvings"] = 0 if data.latent else 2
            left["d_halvings"] = max(1, min(data.shape[1:]).bit_length() - 2)
        unset = {name: value for name, value in left.items() if getattr(self, name) is None}
        return self.model_copy(update={**unset, "network": network})

    def training_on(self, data: DataSpec) -> Training:
        """More images for codes, as their steps are cheap."""
        return self.latent_training if data.latent else super().training_on(data)

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if the data has no labels, or the networks do not fit."""
        check_labelled(data, "stargan", instead="gan")
        if self.network != "auto" and (self.network == "conv") != data.is_image:
            takes, instead = ("images", "mlp") if self.network == "conv" else ("vectors", "conv")
            raise IncompatibleError(
                f"network={self.network} takes {takes}, and '{data.name}' has shape {data.shape}; "
                f"set network={instead}"
            )
        if data.is_image:
            self._check_sides(data)

    def _check_sides(self, data: DataSpec) -> None:
        s = self.fitted(data)
        factor, least = 2 ** (s.g_halvings or 0), max(SMALLEST, 2 ** (s.d_halvings or 1))
        if any(side % factor or side < least for side in data.shape[1:]):
            raise IncompatibleError(
                f"stargan with g_halvings={s.g_halvings} and d_halvings={s.d_halvings} takes sides "
                f"that are divisible by {factor} and at least {least}; '{data.name}' has shape "
                f"{data.shape}; set fewer halvings, or another data.size"
            )


PRESETS = (
    Preset(
        name="choi2018",
        source="Choi et al. 2018, section 5.1, tables 4 and 5, and the authors' code for CelebA",
        datasets=("celeba",),
        epochs=20,
        batch_size=16,
        settings={
            "g_channels": 64,
            "g_kernel": 7,
            "g_blocks": 6,
            "d_channels": 64,
            "cycle_weight": 10.0,
            "n_critic": 5,
            "g_lr": 1e-4,
            "d_lr": 1e-4,
        },
        data={
            "size": 128,
            "crop": 178,
            "attributes": ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"],
        },
        note="for images from 64 px on (data.size=64); the authors' code takes 200,000 steps of D, "
        "which are 20 epochs",
    ),
    Preset(
        name="digits",
        source="s-chh/Pytorch-StarGAN-Digits, which translates between sets of digits",
        datasets=("mnist", "fashion-mnist", "digits"),
        epochs=100,
        batch_size=128,
        settings={
            "g_channels": 32,
            "g_kernel": 7,
            "g_blocks": 3,
            "d_channels": 32,
            "cycle_weight": 1.0,
            "n_critic": 5,
            "g_lr": 1e-4,
            "d_lr": 1e-4,
        },
        data={"size": 32},
        note="for a GPU; networks are ours, and domains are classes; data.size=28 works too",
    ),
)
