"""Settings and presets of R3GAN (no torch here)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from genbench import DataSpec, IncompatibleError, ModelSettings, Preset, Training
from genbench_nets.adversarial_settings import Augmentation, has_side

SIDES = (8, 16, 28, 32, 64)
"""The sides of the square images, or grids of codes, that the residual networks take."""


class R3GANSettings(ModelSettings):
    """Light networks with the paper's losses and schedules; ``paper`` has its widths."""

    widths: ClassVar[tuple[str, ...]] = ("channels", "hidden")
    training: ClassVar[Training] = Training(images=300_000, batch_size=64)
    point_training: ClassVar[Training] = Training(images=3_000_000, batch_size=256)
    latent_training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)

    network: Literal["auto", "residual", "mlp"] = Field(
        "auto",
        description="the paper's residual networks (square images of 8 to 64 px), or fully "
        "connected ones; auto: residual if the data fits",
    )
    z_dim: int = Field(64, ge=1, le=4096, description="size of the noise z ~ N(0, I)")
    channels: int = Field(
        32, ge=1, le=4096, description="channels of the residual networks at all resolutions"
    )
    blocks: int = Field(1, ge=1, le=16, description="residual blocks at each resolution")
    expansion: int = Field(2, ge=1, le=8, description="width of the 3x3 convolutions in channels")
    group: int = Field(8, ge=1, le=4096, description="channels in a group of the 3x3 convolutions")
    hidden: tuple[int, ...] = Field(
        (128, 128, 128), min_length=1, description="widths of the fully connected networks"
    )
    gamma: float = Field(0.05, ge=0, description="weight of both penalties at the start")
    final_gamma: float = Field(0.005, ge=0, description="weight of both penalties at the end")
    lr: float = Field(2e-4, gt=0, description="learning rate of both networks at the start")
    final_lr: float = Field(5e-5, gt=0, description="learning rate of both networks at the end")
    beta2: float = Field(0.99, ge=0, lt=1, description="Adam's beta2; beta1 is 0")
    augment: tuple[Augmentation, ...] = Field(
        (), description="differentiable augmentation of the discriminator's input"
    )

    def fitted(self, data: DataSpec) -> Self:
        """The networks that take this data."""
        if self.network != "auto":
            return self
        network = "residual" if has_side(data, SIDES) else "mlp"
        return self.model_copy(update={"network": network})

    def training_on(self, data: DataSpec) -> Training:
        """More samples for points and latents, as their steps are cheap."""
        if data.bounded:
            return super().training_on(data)
        return self.latent_training if data.latent else self.point_training

    def check(self, data: DataSpec) -> None:
        """Raise IncompatibleError if an option does not fit the shape of the data."""
        if self.network == "residual" and not has_side(data, SIDES):
            raise IncompatibleError(
                f"network=residual takes square images of {', '.join(map(str, SIDES[:-1]))} or "
                f"{SIDES[-1]} px, and '{data.name}' has shape {data.shape}; set data.size=32 or "
                "network=mlp"
            )
        if self.augment and not data.bounded:
            raise IncompatibleError(
                f"augment takes images, and '{data.name}' has none; set augment=[]"
            )

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.channels * self.expansion % self.group:
            raise ValueError(
                f"group must divide channels x expansion = {self.channels * self.expansion}; set "
                "group=1 or another divisor"
            )
        if self.final_lr > self.lr:
            raise ValueError("final_lr must be at most lr; set both")
        return self


PRESETS = (
    Preset(
        name="paper",
        source="Huang et al. 2024, appendix: the settings for CIFAR-10, 32 px",
        datasets=("image-folder",),
        batch_size=512,
        settings={
            "network": "residual",
            "z_dim": 64,
            "channels": 768,
            "blocks": 2,
            "expansion": 2,
            "group": 16,
            "gamma": 0.05,
            "final_gamma": 0.005,
            "lr": 2e-4,
            "final_lr": 5e-5,
            "beta2": 0.99,
        },
        data={"size": 32},
        note="20 million images at batch 512; the paper raises beta2 from 0.9 to 0.99, averages "
        "weights, and augments by up to 0.55 as in ADA: set --ema and augment, and the epochs",
    ),
)
