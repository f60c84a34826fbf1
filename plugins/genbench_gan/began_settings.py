"""Settings and presets of BEGAN."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from genbench import Preset, Training
from genbench_nets.energy_settings import SIZES, EnergySettings, Sizes


class BEGANSettings(EnergySettings):
    """An L1 autoencoder for a discriminator, kept in balance; any data, conv 28, 32 or 64 px."""

    training: ClassVar[Training] = Training(images=1_200_000, batch_size=64)

    sizes: ClassVar[Sizes] = {**SIZES, "image": {**SIZES["image"], "code": 64}}

    code: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="size of the code; by default 64, 8 for latents, or 2 for points",
    )
    prior: Literal["normal", "uniform"] = Field(
        "uniform", description="z ~ N(0, I), or U(-1, 1) in each dimension"
    )
    gamma: float = Field(
        0.85,
        gt=0,
        le=1,
        description="target of L(G(z)) / L(x); lower values give sharper, less diverse samples",
    )
    k_rate: float = Field(0.02, gt=0, le=1, description="lambda, the gain of k's controller")
    halvings: int = Field(
        4, ge=1, le=100, description="how often the learning rates are halved in a run"
    )


PRESETS = (
    Preset(
        name="hse2022",
        source="HSE 2022, More on GANs, and Berthelot et al. 2017, section 4",
        datasets=("mnist", "image-folder"),
        batch_size=16,
        settings={
            "network": "conv",
            "channels": 64,
            "z_dim": 64,
            "code": 64,
            "prior": "uniform",
            "gamma": 0.5,
            "k_rate": 1e-3,
            "g_lr": 1e-4,
            "d_lr": 1e-4,
            "beta1": 0.9,
        },
        note="the paper trains on faces; its rates are halved when M stalls, ours four times a run",
    ),
)
