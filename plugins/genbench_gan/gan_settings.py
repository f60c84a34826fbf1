"""Settings and presets of the GAN with every loss and regulariser."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from genbench import Preset, Training
from genbench_nets.adversarial_settings import (
    SIZES,
    AdversarialLoss,
    AdversarialSettings,
    Norm,
    Sizes,
)


class GANSettings(AdversarialSettings):
    """The original GAN by default, with the losses and regularisers of later papers as options."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)
    sizes: ClassVar[Sizes] = {
        **SIZES,
        "mlp": {
            **SIZES["mlp"],
            "g_hidden": (256, 512, 1024),
            "d_hidden": (1024, 512, 256),
            "d_dropout": 0.3,
            "g_norm": "identity",
        },
    }

    g_norm: Norm | None = Field(
        None, description="normalisation in the generator; by default batch for conv, else identity"
    )
    beta1: float = Field(
        0.5, ge=0, lt=1, description="Adam's beta1; at 0.9 samples collapse to one class at first"
    )
    d_dropout: float | None = Field(
        None, ge=0, lt=1, description="dropout in the discriminator; by default 0.3 for mlp, else 0"
    )
    loss: AdversarialLoss = Field("non_saturating", description="adversarial loss")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 minus this"
    )
    clip: float | None = Field(
        None, gt=0, description="bound on each weight of the discriminator, after each of its steps"
    )
    gradient_penalty: float = Field(
        0.0, ge=0, description="weight of (|gradient| - 1)^2 between real and fake samples"
    )
    spectral_norm: bool = Field(
        False, description="spectral normalisation of every layer of the discriminator"
    )
    r1: float = Field(0.0, ge=0, description="gamma of R1, gamma/2 |gradient|^2 at real samples")
    r1_every: int = Field(
        1,
        ge=1,
        le=1000,
        description="apply R1 only in every n-th iteration, with n times the weight",
    )
    feature_matching: float = Field(
        0.0, ge=0, description="weight of feature matching, added to the generator's own loss"
    )

    def forbids_batch_norm(self) -> bool:
        """Whether D has a gradient penalty or spectral normalisation."""
        return bool(self.gradient_penalty or self.r1 or self.spectral_norm)

    @model_validator(mode="after")
    def _loss_and_regularisers(self) -> Self:
        bounds = [
            name for name in ("clip", "gradient_penalty", "spectral_norm") if getattr(self, name)
        ]
        if len(bounds) > 1:
            raise ValueError(f"{' and '.join(bounds)} each bound D's slope; choose one")
        if self.loss == "wasserstein" and not bounds:
            raise ValueError(
                "loss=wasserstein needs a bound on D's slope; set gradient_penalty=10, clip=0.01 "
                "or spectral_norm=true"
            )
        if self.label_smoothing and self.loss in ("hinge", "wasserstein"):
            raise ValueError(
                f"label_smoothing needs a loss with labels, and {self.loss} has none; set "
                "label_smoothing=0, or loss=non_saturating or least_squares"
            )
        if self.r1 and self.gradient_penalty:
            raise ValueError(
                "r1 pulls D's slope at real samples to 0 and gradient_penalty to 1; choose one"
            )
        if self.r1_every > 1 and not self.r1:
            raise ValueError("r1_every has no effect without r1; set r1=10 or r1_every=1")
        return self


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
        note="its table names no output layer; we use tanh",
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
    Preset(
        name="toy25",
        source="ours: docs/toy.md; two networks of 3x128 as in the papers of DRS and DDLS",
        datasets=("gaussians-25",),
        epochs=77,
        batch_size=256,
        settings={
            "z_dim": 2,
            "g_hidden": (128, 128, 128),
            "d_hidden": (128, 128, 128),
            "r1": 0.1,
            "r1_every": 4,
            "g_lr": 1e-3,
            "d_lr": 1e-3,
            "decay": "linear",
        },
        note="15,015 steps, about two minutes on a CPU core",
    ),
)
