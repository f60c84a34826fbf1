"""Settings of the Wasserstein GAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.adversarial_settings import AdversarialSettings


class WGANSettings(AdversarialSettings):
    """Rates and clip are larger than the paper's, so that a minute shows digits; see ``paper``."""

    training: ClassVar[Training] = Training(images=1_800_000, batch_size=64)

    clip: float = Field(0.03, gt=0, description="bound on the critic's weights")
    n_critic: int = Field(5, ge=1, le=100, description="steps of the critic for one of G")
    optimizer: Literal["adam", "rmsprop"] = Field("rmsprop", description="of both players")
    g_lr: float = Field(1e-3, gt=0, description="learning rate of the generator")
    d_lr: float = Field(1e-3, gt=0, description="learning rate of the critic")


PRESETS = (
    Preset(
        name="paper",
        source="Arjovsky et al. 2017, algorithm 1",
        datasets=("mnist",),
        batch_size=64,
        settings={"g_lr": 5e-5, "d_lr": 5e-5, "clip": 0.01, "n_critic": 5},
        note="rates, clip and steps of algorithm 1 on the bench's fully connected networks",
    ),
)
