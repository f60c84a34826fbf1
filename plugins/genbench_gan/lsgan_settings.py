"""Settings of the least-squares GAN."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.adversarial_settings import AdversarialSettings


class LSGANSettings(AdversarialSettings):
    """The rates are higher than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=100)

    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the discriminator")
    label_smoothing: float = Field(
        0.0, ge=0, lt=0.5, description="the discriminator's target for real samples is 1 less this"
    )


PRESETS = (
    Preset(
        name="paper",
        source="Mao et al. 2017, section 4.1: batch 64, Adam with beta1 0.5, rate 2e-4 (LSUN)",
        datasets=("mnist",),
        batch_size=64,
        settings={"g_lr": 2e-4, "d_lr": 2e-4, "beta1": 0.5},
        note="on the bench's networks; the paper's are convolutional, for 112 px",
    ),
)
