"""Settings that adversarial models share: networks, learning rates, and options that fit any loss.

The settings of a paper add its own fields and defaults. This file does not import torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings, Training

AdversarialLoss = Literal["non_saturating", "minimax", "least_squares", "hinge", "wasserstein"]
Augmentation = Literal["translation", "cutout", "brightness"]
Network = Literal["auto", "mlp", "conv", "points"]
Norm = Literal["identity", "batch"]
Sizes = Mapping[str, Mapping[str, Any]]

SIDES = (28, 32, 64)
"""The sides of the images that the convolutional networks take."""
SIZES: Sizes = {
    "mlp": {
        "z_dim": 100,
        "g_hidden": (256, 512),
        "d_hidden": (512, 256),
        "g_norm": "batch",
        "d_norm": "identity",
    },
    "conv": {"z_dim": 100, "g_channels": 16, "d_channels": 16, "g_norm": "batch"},
    "points": {
        "z_dim": 2,
        "g_hidden": (128, 128, 128),
        "d_hidden": (128, 128, 128),
        "g_norm": "identity",
        "d_norm": "identity",
    },
    "latents": {
        "z_dim": 64,
        "g_hidden": (256, 256),
        "d_hidden": (256, 256),
        "g_norm": "identity",
        "d_norm": "identity",
    },
}
"""Defaults that depend on the network; ``latents``: fully connected, for the codes of a model."""


def has_side(data: DataSpec, sides: Collection[int]) -> bool:
    """Whether samples are square images, or grids of codes, of one of these sides."""
    return data.is_image and data.shape[1] == data.shape[2] and data.shape[1] in sides


class AdversarialSettings(ModelSettings):
    """A generator and a discriminator or critic; `fitted` sets what is None by the data."""

    widths: ClassVar[tuple[str, ...]] = ("g_hidden", "g_channels")

    point_training: ClassVar[Training] = Training(images=5_000_000, batch_size=256)
    latent_training: ClassVar[Training] = Training(images=2_400_000, batch_size=100)
    sizes: ClassVar[Sizes] = SIZES
    on_latents: ClassVar[Mapping[str, Any]] = {"g_lr": 1e-3, "d_lr": 1e-3, "decay": "linear"}
    """Defaults for data that are the codes of a model."""

    network: Network = Field(
        "auto",
        description="fully connected (mlp), convolutional (conv: 28, 32 or 64 px) or for points; "
        "auto: mlp for images and latents, points for points",
    )
    z_dim: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="size of the noise z; by default 100, 64 for latents, or 2 for points",
    )
    prior: Literal["normal", "uniform"] = Field(
        "normal", description="z ~ N(0, I), or U(-1, 1) in each dimension"
    )
    g_hidden: tuple[int, ...] | None = Field(
        None, min_length=1, description="widths of the generator (mlp, points)"
    )
    d_hidden: tuple[int, ...] | None = Field(
        None, min_length=1, description="widths of the discriminator (mlp, points)"
    )
    g_channels: int | None = Field(
        None, ge=1, le=1024, description="channels before the generator's last layer (conv)"
    )
    d_channels: int | None = Field(
        None, ge=1, le=1024, description="channels after the discriminator's first layer (conv)"
    )
    g_activation: Literal["relu", "leaky_relu"] = Field(
        "leaky_relu", description="activation of the generator; the discriminator's is leaky_relu"
    )
    g_norm: Norm | None = Field(
        None,
        description="normalisation in the generator; by default batch for images, else identity",
    )
    d_norm: Norm | None = Field(
        None,
        description="normalisation in the discriminator; by default batch for conv unless a "
        "gradient penalty or spectral normalisation forbids it, else identity",
    )
    d_dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout in the discriminator (mlp, points); by default none"
    )
    minibatch_std: bool = Field(
        False,
        description="give the discriminator the standard deviation of the minibatch as a feature",
    )
    augment: tuple[Augmentation, ...] = Field(
        (), description="differentiable augmentation of the discriminator's input"
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        description="standard deviation of noise on the discriminator's input, which falls "
        "linearly to 0",
    )
    n_critic: int = Field(
        1, ge=1, le=100, description="steps of the discriminator for each step of the generator"
    )
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="optimizer of both networks")
    g_lr: float = Field(2e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(2e-4, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's beta1")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's beta2")
    decay: Literal["constant", "linear"] = Field(
        "constant", description="schedule of both learning rates: constant, or linear decay to 0"
    )

    def forbids_batch_norm(self) -> bool:
        """Whether a regulariser needs D without batch normalisation."""
        return False

    def fitted(self, data: DataSpec) -> Self:
        """Network, sizes and normalisation set for this data, and learning rates for latents."""
        network = self.network
        if network == "auto":
            network = "mlp" if data.is_image or data.latent else "points"
        sizes = {"d_norm": "identity" if self.forbids_batch_norm() else "batch", "d_dropout": 0.0}
        sizes |= self.sizes["latents" if data.latent and network == "mlp" else network]
        left = {name: value for name, value in sizes.items() if getattr(self, name) is None}
        if data.latent:
            given = self.model_fields_set
            left |= {name: v for name, v in self.on_latents.items() if name not in given}
        return self.model_copy(update={"network": network, **left})

    def training_on(self, data: DataSpec) -> Training:
        """More images for points and latents, as their steps are cheap, and if n_critic > 1."""
        if data.bounded:
            return super().training_on(data)
        cheap = self.latent_training if data.latent else self.point_training
        return replace(cheap, images=cheap.images * min(2, self.n_critic))

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if a network or an option does not fit the shape of the data."""
        if data.latent and self.augment:
            raise IncompatibleError(
                f"augment takes images, and '{data.name}' has latents; use instance_noise instead"
            )
        if not data.is_image and not data.latent:
            self._check_points(data)
        elif self.network == "points" and data.is_image:
            raise IncompatibleError(
                f"network=points takes points, and '{data.name}' has images; "
                f"set network=mlp or network=conv"
            )
        elif self.network == "conv" and not has_side(data, SIDES):
            hint = "network=mlp" if data.latent else "data.size=32 or network=mlp"
            raise IncompatibleError(
                f"network=conv takes square images of 28, 32 or 64 px, and '{data.name}' has shape "
                f"{data.shape}; set {hint}"
            )

    def _check_points(self, data: DataSpec) -> None:
        for wrong, given, hint in (
            (self.network in ("mlp", "conv"), f"network={self.network}", "network=points"),
            (bool(self.augment), "augment", "instance_noise instead"),
            (self.minibatch_std, "minibatch_std", "minibatch_std=false"),
        ):
            if wrong:
                raise IncompatibleError(
                    f"{given} takes images, and '{data.name}' has points; set {hint}"
                )

    @model_validator(mode="after")
    def _sizes_and_norms(self) -> Self:
        if self.network == "conv" and (self.g_hidden or self.d_hidden or self.d_dropout):
            raise ValueError(
                "g_hidden, d_hidden and d_dropout belong to fully connected networks; with "
                "network=conv set g_channels and d_channels"
            )
        if self.network != "conv" and (self.g_channels or self.d_channels):
            raise ValueError(
                f"g_channels and d_channels belong to network=conv; with network={self.network} "
                "set g_hidden and d_hidden"
            )
        if self.forbids_batch_norm() and self.d_norm == "batch":
            raise ValueError(
                "a gradient penalty or spectral normalisation forbids batch normalisation in D, "
                "because it makes a sample's score depend on other samples; set d_norm=identity"
            )
        if len(set(self.augment)) < len(self.augment):
            raise ValueError("augment names a step twice; name each once")
        return self
