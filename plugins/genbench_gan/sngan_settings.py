"""Settings of the spectrally normalised GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.adversarial_settings import SIZES, AdversarialSettings, Sizes


class SNGANSettings(AdversarialSettings):
    """The rates are higher than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_800_000, batch_size=64)
    sizes: ClassVar[Sizes] = {
        **SIZES,
        "mlp": {**SIZES["mlp"], "z_dim": 128},
        "conv": {**SIZES["conv"], "z_dim": 128},
    }

    loss: Literal["hinge", "non_saturating"] = Field("hinge", description="what the two play for")
    n_critic: int = Field(5, ge=1, le=100, description="steps of D for one of G")
    g_lr: float = Field(5e-4, gt=0, description="learning rate of the generator")
    d_lr: float = Field(5e-4, gt=0, description="learning rate of the discriminator")
    beta1: float = Field(0.0, ge=0, lt=1, description="Adam's beta1")
    beta2: float = Field(0.9, ge=0, lt=1, description="Adam's beta2")
    decay: Literal["constant", "linear"] = Field(
        "linear", description="both rates: constant, or falling linearly to 0"
    )

    def forbids_batch_norm(self) -> bool:
        """Its gains would undo the bound on D's slope."""
        return True


PRESETS = (
    Preset(
        name="paper",
        source="Miyato et al. 2018: hinge, Adam 2e-4 (0, 0.9), five steps of D, batch 64",
        datasets=("mnist",),
        batch_size=64,
        settings={
            "network": "conv",
            "g_channels": 64,
            "d_channels": 64,
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "beta1": 0.0,
            "beta2": 0.9,
            "n_critic": 5,
        },
        note="on the bench's convolutional networks; the paper's are for 32 px and more",
    ),
)
